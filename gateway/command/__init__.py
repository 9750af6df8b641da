"""The `gateway` command, one file for what belongs together."""
