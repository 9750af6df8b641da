"""gateway/audio."""
