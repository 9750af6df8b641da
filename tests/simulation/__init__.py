"""Routing on a clock of its own: what happens is determined by a seed, and watched throughout."""
