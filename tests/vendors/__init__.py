"""Wires beside the vendors' own SDKs, at the same fakes."""
