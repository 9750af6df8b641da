"""Instances: the gateways that may hold something. One whose beat stands still is dead."""

from sqlalchemy import BigInteger, Column, String, Table

from gateway.tables.metadata import metadata

instance = Table(
    "instance",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("started_ms", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False, comment="counts up; no clock is compared"),
)
