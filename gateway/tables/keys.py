"""API keys, and the balance of every scope that money and characters are held and posted on."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, String, Table

from gateway.tables.metadata import metadata

api_key = Table(
    "api_key",
    metadata,
    Column("hash", String(64), primary_key=True, comment="SHA-256 of the key, hex"),
    Column("name", String(200), nullable=False),
    Column("label", String(40), nullable=False, comment="first and last letters, to recognise it"),
    Column("scopes", String(100), nullable=False, comment="space-separated: speak manage"),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger),
    Column("expires_ms", BigInteger),
)

# The last line of defence: whatever the code above does, a limit holds.
balance = Table(
    "balance",
    metadata,
    Column("scope", String(80), primary_key=True, comment="key:<hash>"),
    Column("limit_nano", BigInteger, comment="null: no limit"),
    Column("posted_nano", BigInteger, nullable=False, default=0),
    Column("held_nano", BigInteger, nullable=False, default=0),
    Column("posted_characters", BigInteger, nullable=False, default=0),
    Column("held_characters", BigInteger, nullable=False, default=0),
    CheckConstraint("limit_nano IS NULL OR posted_nano + held_nano <= limit_nano", "within_limit"),
    CheckConstraint("posted_nano >= 0 AND held_nano >= 0", "money_not_negative"),
    CheckConstraint("posted_characters >= 0 AND held_characters >= 0", "characters_not_negative"),
)
