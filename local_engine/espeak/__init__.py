"""local_engine/espeak."""
