"""gateway/endpoints."""
