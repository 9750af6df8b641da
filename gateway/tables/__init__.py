"""The database's tables, one file per aggregate. Money is nano-USD, time is epoch milliseconds."""

from gateway.tables.balances import balance, budget
from gateway.tables.generations import (
    attempt,
    claim,
    entry,
    generation,
    price,
    request_text,
)
from gateway.tables.instances import instance
from gateway.tables.keys import api_key, audit, mark, organisation, project, secret
from gateway.tables.metadata import metadata
from gateway.tables.rollups import rollup

__all__ = [
    "api_key",
    "attempt",
    "audit",
    "balance",
    "budget",
    "claim",
    "entry",
    "generation",
    "instance",
    "mark",
    "metadata",
    "organisation",
    "price",
    "project",
    "request_text",
    "rollup",
    "secret",
]
