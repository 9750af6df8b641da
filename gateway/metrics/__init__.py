"""What a scrape tells: counters and histograms of requests, and their way out by OTLP.

prometheus_client's registry is the one truth; OTLP sends the same numbers from it.
"""
