"""scopes, budgets by period, instances, claims, rollups, audit; keys by keyed secrets.

Revision: 0002, after 0001.
"""

import hmac
import time

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _keys()
    _balances()
    _generations()
    _rest()


def _keys() -> None:
    for table in ("organisation", "project"):
        of = [sa.Column("organisation", sa.String(64), nullable=False)] * (table == "project")
        to = [
            sa.ForeignKeyConstraint(
                ["organisation"], ["organisation.id"], op.f("fk_project_organisation")
            )
        ]
        op.create_table(
            table,
            sa.Column("id", sa.String(64), nullable=False, comment="a short name, as in its scope"),
            *of,
            sa.Column("name", sa.String(200), nullable=False),
            sa.Column("created_ms", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
            *(to if of else []),
        )
    now = int(time.time() * 1000)
    insert = "INSERT INTO {} (id, {}name, created_ms) VALUES ('default', {}'Default', :now)"
    op.execute(sa.text(insert.format("organisation", "", "")).bindparams(now=now))
    op.execute(
        sa.text(insert.format("project", "organisation, ", "'default', ")).bindparams(now=now)
    )

    op.add_column(
        "api_key", sa.Column("project", sa.String(64), nullable=False, server_default="default")
    )
    op.add_column(
        "api_key", sa.Column("deleted_ms", sa.BigInteger(), comment="deleted keys keep their books")
    )
    op.add_column(
        "api_key",
        sa.Column("allowed", sa.Text(), comment="JSON: models, providers, voices; null: all"),
    )
    op.add_column("api_key", sa.Column("default_task", sa.String(100)))
    op.add_column(
        "api_key",
        sa.Column(
            "limit_period",
            sa.String(6),
            nullable=False,
            server_default="total",
            comment="whose budget is the key's own limit: day week month total",
        ),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("api_key", "hash", comment="public id, hex; tells nothing")
        op.alter_column("api_key", "scopes", comment="space-separated: speak read manage")
    op.create_table(
        "secret",
        sa.Column(
            "hash", sa.String(64), nullable=False, comment="HMAC-SHA-256(pepper, SHA-256(key)), hex"
        ),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger()),
        sa.ForeignKeyConstraint(["key_hash"], ["api_key.hash"], name=op.f("fk_secret_key_hash")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_secret")),
    )
    op.create_index(op.f("ix_secret_key_hash"), "secret", ["key_hash"])
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "actor",
            sa.String(64),
            nullable=False,
            comment="a key's public id, or who acted instead",
        ),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(120), nullable=False, comment="a scope, as key:<hash>"),
        sa.Column("before", sa.Text(), comment="JSON"),
        sa.Column("after", sa.Text(), comment="JSON"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_subject_id"), "audit", ["subject", "id"])
    op.create_table(
        "mark",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mark")),
    )
    _secrets()


def _secrets() -> None:
    """Keys of 0001 were found by their plain SHA-256; from here on by its keyed hash."""
    bind = op.get_bind()
    old = bind.execute(sa.text("SELECT hash, created_ms FROM api_key")).all()
    if not old:
        return
    pepper = context.config.attributes["pepper"]
    rows = [
        {"hash": hmac.digest(pepper, hash_.encode(), "sha256").hex(), "key": hash_, "at": at}
        for hash_, at in old
    ]
    insert = "INSERT INTO secret (hash, key_hash, created_ms) VALUES (:hash, :key, :at)"
    bind.execute(sa.text(insert), rows)


def _balances() -> None:
    op.create_table(
        "budget",
        sa.Column("scope", sa.String(120), nullable=False),
        sa.Column(
            "period", sa.String(6), nullable=False, comment="minute hour day week month total"
        ),
        sa.Column("limit_nano", sa.BigInteger(), comment="null: no limit"),
        sa.Column("soft_nano", sa.BigInteger(), comment="from here on tasks are downgraded"),
        sa.Column("limit_characters", sa.BigInteger()),
        sa.Column("soft_characters", sa.BigInteger()),
        sa.Column("limit_requests", sa.BigInteger()),
        sa.Column("limit_streams", sa.BigInteger(), comment="at once; of the period total only"),
        sa.CheckConstraint(
            "period IN ('minute', 'hour', 'day', 'week', 'month', 'total')",
            name=op.f("ck_budget_known"),
        ),
        sa.PrimaryKeyConstraint("scope", "period", name=op.f("pk_budget")),
    )
    op.rename_table("balance", "balance_0001")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE balance_0001 RENAME CONSTRAINT pk_balance TO pk_balance_0001")
    counters = ("posted_nano", "held_nano", "over_nano", "posted_characters", "held_characters")
    op.create_table(
        "balance",
        sa.Column("id", sa.String(160), nullable=False, comment="scope|period|start_ms"),
        sa.Column("scope", sa.String(120), nullable=False),
        sa.Column("period", sa.String(6), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False, comment="UTC; 0 for total"),
        sa.Column("limit_nano", sa.BigInteger(), comment="the budget's, copied"),
        sa.Column("limit_characters", sa.BigInteger(), comment="the budget's, copied"),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in (*counters, "over_characters")
        ),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("streams", sa.BigInteger(), nullable=False, comment="held now"),
        sa.CheckConstraint(
            "limit_nano IS NULL OR posted_nano + held_nano <= limit_nano + over_nano",
            name=op.f("ck_balance_money_in_limit"),
        ),
        sa.CheckConstraint(
            "limit_characters IS NULL OR"
            " posted_characters + held_characters <= limit_characters + over_characters",
            name=op.f("ck_balance_characters_in_limit"),
        ),
        sa.CheckConstraint(
            "posted_nano >= 0 AND held_nano >= 0 AND over_nano >= 0",
            name=op.f("ck_balance_money_positive"),
        ),
        sa.CheckConstraint(
            "posted_characters >= 0 AND held_characters >= 0 AND over_characters >= 0",
            name=op.f("ck_balance_characters_positive"),
        ),
        sa.CheckConstraint(
            "requests >= 0 AND streams >= 0", name=op.f("ck_balance_counts_positive")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balance")),
    )
    op.create_index(
        op.f("ix_balance_scope_period_start_ms"), "balance", ["scope", "period", "start_ms"]
    )
    op.execute(
        "INSERT INTO budget (scope, period, limit_nano)"
        " SELECT scope, 'total', limit_nano FROM balance_0001"
    )
    op.execute(
        "INSERT INTO balance (id, scope, period, start_ms, limit_nano, posted_nano, held_nano,"
        " over_nano, posted_characters, held_characters, over_characters, requests, streams)"
        " SELECT scope || '|total|0', scope, 'total', 0, limit_nano, posted_nano, held_nano, 0,"
        " posted_characters, held_characters, 0,"
        " (SELECT count(*) FROM generation WHERE 'key:' || key_hash = scope),"
        " (SELECT count(*) FROM generation WHERE 'key:' || key_hash = scope AND status = 'held')"
        " FROM balance_0001"
    )
    op.drop_table("balance_0001")


def _generations() -> None:
    for column in (
        sa.Column("project", sa.String(64), nullable=False, server_default="default"),
        sa.Column(
            "at_ms",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="by the database's clock: what decides its periods",
        ),
        sa.Column("instance", sa.String(40), comment="who holds it; null: nothing was ever held"),
        sa.Column("task", sa.String(100)),
        sa.Column(
            "flags",
            sa.String(100),
            comment="what is remarkable, in words",
        ),
    ):
        op.add_column("generation", column)
    # Who was refused before a hold counted for nothing in 0001 either; the rest had an owner.
    op.execute("UPDATE generation SET at_ms = created_ms, instance = 'before-0002'")
    op.drop_index("ix_generation_created_ms", "generation")
    op.drop_index("ix_generation_key_hash_created_ms", "generation")
    op.create_index(op.f("ix_generation_at_ms"), "generation", ["at_ms"])
    op.create_index(op.f("ix_generation_key_hash_at_ms"), "generation", ["key_hash", "at_ms"])
    still_open = sa.text("status IN ('held', 'unknown')")
    op.create_index(
        "ix_generation_open",
        "generation",
        ["status", "instance"],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    for column in (
        sa.Column(
            "bound_nano",
            sa.BigInteger(),
            comment="the most it can cost; null: its price is not known",
        ),
        sa.Column("price", sa.String(40), comment="the version of the price that it was made at"),
        sa.Column(
            "billed_units", sa.BigInteger(), comment="the provider's own count, when it gives one"
        ),
    ):
        op.add_column("attempt", column)
    op.execute(
        "UPDATE attempt SET bound_nano = CASE WHEN outcome = 'intent'"
        " THEN (SELECT hold_nano FROM generation WHERE id = generation_id) ELSE liability_nano END"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("generation", "created_ms", comment="by the gateway's clock")
        op.alter_column("attempt", "outcome", comment="intent done failed abandoned unknown")
        op.alter_column("entry", "kind", comment="hold settle void unknown adjust")
        op.alter_column("entry", "seq", comment="the attempt's, for hold and liability")


def _rest() -> None:
    op.create_table(
        "price",
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("offer", sa.String(265), nullable=False, comment="provider:model"),
        sa.Column("terms", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", "offer", name=op.f("pk_price")),
    )
    op.create_table(
        "claim",
        sa.Column("id", sa.String(330), nullable=False, comment="<key hash>:<Idempotency-Key>"),
        sa.Column("generation_id", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False, comment="of the body, keyed"),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generation.id"], name=op.f("fk_claim_generation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim")),
    )
    op.create_table(
        "instance",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "beat", sa.BigInteger(), nullable=False, comment="counts up; no clock is compared"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
    )
    names = (("key_hash", 64), ("model", 200), ("provider", 64), ("app", 200))
    counted = (
        "requests",
        "characters",
        "cost_nano",
        "liability_nano",
        "audio_ms",
        "errors",
        "fallbacks",
        "cache_hits",
    )
    op.create_table(
        "rollup",
        sa.Column("width", sa.String(4), nullable=False, comment="hour or day"),
        sa.Column("start_ms", sa.BigInteger(), nullable=False, comment="UTC"),
        *(sa.Column(name, sa.String(size), nullable=False) for name, size in names),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counted),
        sa.PrimaryKeyConstraint(
            "width", "start_ms", *(name for name, _ in names), name=op.f("pk_rollup")
        ),
    )
    op.create_index(
        op.f("ix_rollup_key_hash_width_start_ms"), "rollup", ["key_hash", "width", "start_ms"]
    )
    for width, ms in (("hour", 3_600_000), ("day", 86_400_000)):
        op.execute(
            f"INSERT INTO rollup SELECT '{width}', at_ms - at_ms % {ms}, key_hash,"  # noqa: S608  # our own numbers
            " coalesce(model, ''), coalesce(provider, ''), coalesce(app, ''), count(*),"
            " sum(charged_characters), sum(cost_nano), sum(liability_nano), sum(audio_ms),"
            " sum(CASE WHEN error_type IS NULL THEN 0 ELSE 1 END), sum(fallbacks),"
            " sum(CASE WHEN cache_hit THEN 1 ELSE 0 END)"
            " FROM generation WHERE status <> 'held' GROUP BY 1, 2, 3, 4, 5, 6"
        )


def downgrade() -> None:
    for table in ("rollup", "instance", "claim", "price"):
        op.drop_table(table)
    for column in ("bound_nano", "price", "billed_units"):
        op.drop_column("attempt", column)
    for index in ("open", "key_hash_at_ms", "at_ms"):
        op.drop_index(f"ix_generation_{index}", "generation")
    for column in ("project", "at_ms", "instance", "task", "flags"):
        op.drop_column("generation", column)
    op.create_index(op.f("ix_generation_created_ms"), "generation", ["created_ms"])
    op.create_index(
        op.f("ix_generation_key_hash_created_ms"), "generation", ["key_hash", "created_ms"]
    )
    _old_balances()
    for table in ("mark", "audit", "secret"):
        op.drop_table(table)
    for column in ("project", "deleted_ms", "allowed", "default_task", "limit_period"):
        op.drop_column("api_key", column)
    op.drop_table("project")
    op.drop_table("organisation")


def _old_balances() -> None:
    op.rename_table("balance", "balance_0002")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE balance_0002 RENAME CONSTRAINT pk_balance TO pk_balance_0002")
    op.create_table(
        "balance",
        sa.Column("scope", sa.String(80), nullable=False, comment="key:<hash>"),
        sa.Column("limit_nano", sa.BigInteger(), comment="null: no limit"),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("posted_nano", "held_nano", "posted_characters", "held_characters")
        ),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_balance")),
    )
    op.execute(
        "INSERT INTO balance SELECT scope, limit_nano, posted_nano, held_nano, posted_characters,"
        " held_characters FROM balance_0002 WHERE period = 'total' AND scope LIKE 'key:%'"
    )
    op.drop_table("balance_0002")
    op.drop_table("budget")
