"""Upstreams that misbehave on demand, and a gateway that runs for real."""
