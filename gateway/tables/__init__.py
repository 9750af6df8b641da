"""The database's tables, one file per aggregate. Money is nano-USD, time is epoch milliseconds."""

from gateway.tables.generations import attempt, entry, generation
from gateway.tables.keys import api_key, balance
from gateway.tables.metadata import metadata

__all__ = ["api_key", "attempt", "balance", "entry", "generation", "metadata"]
