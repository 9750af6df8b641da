"""gateway/routing."""
