"""CSM and Mimi as functions over plain tensors: no scheduling, no files, no messages in here."""
