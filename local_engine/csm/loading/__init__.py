"""From a folder, the hub or nothing at all to a Model: every key of a checkpoint accounted for."""
