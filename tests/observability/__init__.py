"""Longer proofs of what is told to the outside: `make observe`."""
