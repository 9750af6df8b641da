"""Clients as people use them, against the running gateway on both databases."""
