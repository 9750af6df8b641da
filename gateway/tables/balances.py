"""Budgets (what a scope may use in a period) and balances (what it has used in one).

A scope is organisation:<id>, project:<id>, key:<hash>, provider:<name> or global. A balance row
exists for every period that has been used since its budget row was made; nothing is ever reset.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, Table

from gateway.tables.metadata import metadata

budget = Table(
    "budget",
    metadata,
    Column("scope", String(120), primary_key=True),
    Column("period", String(6), primary_key=True, comment="minute hour day week month total"),
    Column("limit_nano", BigInteger, comment="null: no limit"),
    Column("soft_nano", BigInteger, comment="from here on tasks are downgraded"),
    Column("limit_characters", BigInteger),
    Column("soft_characters", BigInteger),
    Column("limit_requests", BigInteger),
    Column("limit_streams", BigInteger, comment="at once; of the period total only"),
    CheckConstraint("period IN ('minute', 'hour', 'day', 'week', 'month', 'total')", "known"),
)

# The last line of defence: whatever the code above does, a limit holds. `over_` is what a provider
# billed beyond a hold, which is posted because it is true, and flagged.
balance = Table(
    "balance",
    metadata,
    Column("id", String(160), primary_key=True, comment="scope|period|start_ms"),
    Column("scope", String(120), nullable=False),
    Column("period", String(6), nullable=False),
    Column("start_ms", BigInteger, nullable=False, comment="UTC; 0 for total"),
    Column("limit_nano", BigInteger, comment="the budget's, copied"),
    Column("limit_characters", BigInteger, comment="the budget's, copied"),
    Column("posted_nano", BigInteger, nullable=False),
    Column("held_nano", BigInteger, nullable=False),
    Column("over_nano", BigInteger, nullable=False),
    Column("posted_characters", BigInteger, nullable=False),
    Column("held_characters", BigInteger, nullable=False),
    Column("over_characters", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("streams", BigInteger, nullable=False, comment="held now"),
    CheckConstraint(
        "limit_nano IS NULL OR posted_nano + held_nano <= limit_nano + over_nano", "money_in_limit"
    ),
    CheckConstraint(
        "limit_characters IS NULL OR"
        " posted_characters + held_characters <= limit_characters + over_characters",
        "characters_in_limit",
    ),
    CheckConstraint("posted_nano >= 0 AND held_nano >= 0 AND over_nano >= 0", "money_positive"),
    CheckConstraint(
        "posted_characters >= 0 AND held_characters >= 0 AND over_characters >= 0",
        "characters_positive",
    ),
    CheckConstraint("requests >= 0 AND streams >= 0", "counts_positive"),
    Index(None, "scope", "period", "start_ms"),
)
