"""keys, generations, ledger.

Revision: 0001, after .
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "api_key",
        sa.Column("hash", sa.String(length=64), nullable=False, comment="SHA-256 of the key, hex"),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column(
            "label",
            sa.String(length=40),
            nullable=False,
            comment="first and last letters, to recognise it",
        ),
        sa.Column(
            "scopes", sa.String(length=100), nullable=False, comment="space-separated: speak manage"
        ),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=True),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_api_key")),
    )
    op.create_table(
        "balance",
        sa.Column("scope", sa.String(length=80), nullable=False, comment="key:<hash>"),
        sa.Column("limit_nano", sa.BigInteger(), nullable=True, comment="null: no limit"),
        sa.Column("posted_nano", sa.BigInteger(), nullable=False),
        sa.Column("held_nano", sa.BigInteger(), nullable=False),
        sa.Column("posted_characters", sa.BigInteger(), nullable=False),
        sa.Column("held_characters", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "limit_nano IS NULL OR posted_nano + held_nano <= limit_nano",
            name=op.f("ck_balance_within_limit"),
        ),
        sa.CheckConstraint(
            "posted_characters >= 0 AND held_characters >= 0",
            name=op.f("ck_balance_characters_not_negative"),
        ),
        sa.CheckConstraint(
            "posted_nano >= 0 AND held_nano >= 0", name=op.f("ck_balance_money_not_negative")
        ),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_balance")),
    )
    op.create_table(
        "generation",
        sa.Column("id", sa.String(length=64), nullable=False, comment="gen-tts-..."),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("requested_model", sa.String(length=200), nullable=False),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column(
            "streamed", sa.Boolean(), nullable=False, comment="answered as server-sent events"
        ),
        sa.Column("characters", sa.BigInteger(), nullable=False, comment="code points as received"),
        sa.Column("hold_nano", sa.BigInteger(), nullable=False),
        sa.Column("hold_characters", sa.BigInteger(), nullable=False),
        sa.Column("user", sa.String(length=256), nullable=True),
        sa.Column("session_id", sa.String(length=256), nullable=True),
        sa.Column("app", sa.String(length=200), nullable=True),
        sa.Column("referer", sa.String(length=500), nullable=True),
        sa.Column("user_agent", sa.String(length=300), nullable=True),
        sa.Column("plan", sa.Text(), nullable=False, comment="JSON: choices and exclusions"),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error_type", sa.String(length=40), nullable=True),
        sa.Column("model", sa.String(length=200), nullable=True),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("voice", sa.String(length=200), nullable=True),
        sa.Column("upstream_id", sa.String(length=200), nullable=True),
        sa.Column("charged_characters", sa.BigInteger(), nullable=False),
        sa.Column("cost_nano", sa.BigInteger(), nullable=False),
        sa.Column("liability_nano", sa.BigInteger(), nullable=False),
        sa.Column("audio_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_audio_ms", sa.BigInteger(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("fallbacks", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("cache_hit", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "status IN ('held', 'settled', 'voided', 'unknown')",
            name=op.f("ck_generation_known_status"),
        ),
        sa.ForeignKeyConstraint(
            ["key_hash"], ["api_key.hash"], name=op.f("fk_generation_key_hash")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation")),
    )
    with op.batch_alter_table("generation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_generation_created_ms"), ["created_ms"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_generation_key_hash_created_ms"),
            ["key_hash", "created_ms"],
            unique=False,
        )

    op.create_table(
        "attempt",
        sa.Column("generation_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("voice", sa.String(length=200), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "outcome", sa.String(length=10), nullable=False, comment="intent done failed abandoned"
        ),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error_type", sa.String(length=40), nullable=True),
        sa.Column("latency_ms", sa.BigInteger(), nullable=True),
        sa.Column("first_audio_ms", sa.BigInteger(), nullable=True),
        sa.Column("upstream_id", sa.String(length=200), nullable=True),
        sa.Column("liability_nano", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generation.id"], name=op.f("fk_attempt_generation_id")
        ),
        sa.PrimaryKeyConstraint("generation_id", "seq", name=op.f("pk_attempt")),
    )
    op.create_table(
        "entry",
        sa.Column("generation_id", sa.String(length=64), nullable=False),
        sa.Column("ledger", sa.String(length=10), nullable=False, comment="charge or liability"),
        sa.Column("kind", sa.String(length=10), nullable=False, comment="hold settle void"),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("nano", sa.BigInteger(), nullable=False),
        sa.Column("characters", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generation.id"], name=op.f("fk_entry_generation_id")
        ),
        sa.PrimaryKeyConstraint("generation_id", "ledger", "kind", "seq", name=op.f("pk_entry")),
    )


def downgrade() -> None:

    op.drop_table("entry")
    op.drop_table("attempt")
    with op.batch_alter_table("generation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_generation_key_hash_created_ms"))
        batch_op.drop_index(batch_op.f("ix_generation_created_ms"))

    op.drop_table("generation")
    op.drop_table("balance")
    op.drop_table("api_key")
