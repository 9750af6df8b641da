"""gateway/dispatch."""
