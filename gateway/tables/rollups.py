"""Rollups: use by hour and by day, kept in the transaction that ends a request."""

from sqlalchemy import BigInteger, Column, Index, String, Table

from gateway.tables.metadata import metadata

# Absent names are empty strings: null is no part of a primary key.
rollup = Table(
    "rollup",
    metadata,
    Column("width", String(4), primary_key=True, comment="hour or day"),
    Column("start_ms", BigInteger, primary_key=True, comment="UTC"),
    Column("key_hash", String(64), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("provider", String(64), primary_key=True),
    Column("app", String(200), primary_key=True),
    Column("task", String(100), primary_key=True, server_default=""),
    Column("requests", BigInteger, nullable=False),
    Column("characters", BigInteger, nullable=False),
    Column("cost_nano", BigInteger, nullable=False),
    Column("liability_nano", BigInteger, nullable=False),
    Column("audio_ms", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("fallbacks", BigInteger, nullable=False),
    Column("cache_hits", BigInteger, nullable=False),
    Index(None, "key_hash", "width", "start_ms"),
    sqlite_with_rowid=False,  # the key's own tree holds the sums: pages read one, not two
)
