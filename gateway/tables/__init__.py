"""gateway/tables."""
