"""Torture: what must not happen, tried on purpose and often."""
