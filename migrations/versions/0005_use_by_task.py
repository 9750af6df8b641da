"""use is counted by task, too.

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NAMES = (("key_hash", 64), ("model", 200), ("provider", 64), ("app", 200))
_COUNTED = (
    "requests",
    "characters",
    "cost_nano",
    "liability_nano",
    "audio_ms",
    "errors",
    "fallbacks",
    "cache_hits",
)
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in _COUNTED)


def upgrade() -> None:
    """What `gateway usage rebuild` makes: only the records of requests know their tasks."""
    op.drop_table("rollup")
    _make_table(sa.Column("task", sa.String(100), nullable=False, server_default=""))
    op.execute(
        "INSERT INTO rollup SELECT 'hour', at_ms - at_ms % 3600000, key_hash,"
        " coalesce(model, ''), coalesce(provider, ''), coalesce(app, ''), coalesce(task, ''),"
        " count(*), sum(charged_characters), sum(cost_nano), sum(liability_nano), sum(audio_ms),"
        " sum(CASE WHEN error_type IS NULL THEN 0 ELSE 1 END), sum(fallbacks),"
        " sum(CASE WHEN cache_hit THEN 1 ELSE 0 END)"
        " FROM generation WHERE status <> 'held' GROUP BY 1, 2, 3, 4, 5, 6, 7"
    )
    op.execute(
        "INSERT INTO rollup SELECT 'day', start_ms - start_ms % 86400000, key_hash,"  # noqa: S608  # our own names
        f" model, provider, app, task, {_SUMS} FROM rollup GROUP BY 1, 2, 3, 4, 5, 6, 7"
    )


def downgrade() -> None:
    """Use of all tasks in one."""
    op.execute(
        "CREATE TEMPORARY TABLE summed AS SELECT width, start_ms, key_hash, model, provider, app,"  # noqa: S608  # our own names
        f" {_SUMS} FROM rollup GROUP BY 1, 2, 3, 4, 5, 6"
    )
    op.drop_table("rollup")
    _make_table()
    op.execute("INSERT INTO rollup SELECT * FROM summed")
    op.execute("DROP TABLE summed")


def _make_table(*task: sa.Column[str]) -> None:
    names = [sa.Column(name, sa.String(size), nullable=False) for name, size in _NAMES]
    keys = [column.name for column in (*names, *task)]
    op.create_table(
        "rollup",
        sa.Column("width", sa.String(4), nullable=False, comment="hour or day"),
        sa.Column("start_ms", sa.BigInteger(), nullable=False, comment="UTC"),
        *names,
        *task,
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTED),
        sa.PrimaryKeyConstraint("width", "start_ms", *keys, name=op.f("pk_rollup")),
    )
    op.create_index(
        op.f("ix_rollup_key_hash_width_start_ms"), "rollup", ["key_hash", "width", "start_ms"]
    )
