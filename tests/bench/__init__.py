"""`make bench`: what the gateway costs, measured through its own front door."""
