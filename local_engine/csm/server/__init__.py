"""The engine as clients see it: HTTP over an engine process that is kept running; no torch."""
