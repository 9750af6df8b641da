"""gateway/metering."""
