"""Long proofs, run by hand: `make torture`."""
