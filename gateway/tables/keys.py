"""Who may speak: organisations, their projects, API keys with their secrets, and what changed."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from gateway.tables.metadata import metadata

organisation = Table(
    "organisation",
    metadata,
    Column("id", String(64), primary_key=True, comment="a short name, as in its scope"),
    Column("name", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

project = Table(
    "project",
    metadata,
    Column("id", String(64), primary_key=True, comment="a short name, as in its scope"),
    Column("organisation", String(64), ForeignKey("organisation.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column(
        "keep_text_hours",
        Integer,
        nullable=False,
        server_default="0",
        comment="how long its requests' text is kept; 0: not",
    ),
    Column(
        "keep_audio_hours",
        Integer,
        nullable=False,
        server_default="0",
        comment="how long its requests' audio is kept; 0: not",
    ),
)

api_key = Table(
    "api_key",
    metadata,
    Column("hash", String(64), primary_key=True, comment="public id, hex; tells nothing"),
    Column("project", String(64), nullable=False, server_default="default"),
    Column("name", String(200), nullable=False),
    Column("label", String(40), nullable=False, comment="first and last letters, to recognise it"),
    Column("scopes", String(100), nullable=False, comment="space-separated: speak read manage"),
    Column("disabled", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger),
    Column("expires_ms", BigInteger),
    Column("deleted_ms", BigInteger, comment="deleted keys keep their books"),
    Column("allowed", Text, comment="JSON: models, providers, voices; null: all"),
    Column("default_task", String(100)),
    Column(
        "limit_period",
        String(6),
        nullable=False,
        server_default="total",
        comment="whose budget is the key's own limit: day week month total",
    ),
    Index(None, "name"),
    Index(None, "created_ms"),
)

# A key may have two secrets for a while: the one it was rotated to, and the one that runs out.
secret = Table(
    "secret",
    metadata,
    Column("hash", String(64), primary_key=True, comment="HMAC-SHA-256(pepper, SHA-256(key)), hex"),
    Column("key_hash", String(64), ForeignKey("api_key.hash"), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Index(None, "key_hash"),
)

# Append-only: every change that somebody made, in the transaction that made it.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False, comment="a key's public id, or who acted instead"),
    Column("action", String(40), nullable=False),
    Column("subject", String(120), nullable=False, comment="a scope, as key:<hash>"),
    Column("before", Text, comment="JSON"),
    Column("after", Text, comment="JSON"),
    Index(None, "subject", "id"),
    Index(None, "actor", "id"),
)

# What one installation has only one of: a fingerprint of the pepper, which all replicas share.
mark = Table(
    "mark",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", String(200), nullable=False),
)
