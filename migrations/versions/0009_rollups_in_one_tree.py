"""on SQLite, the rollups' sums lie in their primary key's own tree.

Revision: 0009, after 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"
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


def upgrade() -> None:
    _make_anew(with_rowid=False)


def downgrade() -> None:
    _make_anew(with_rowid=True)


def _make_anew(*, with_rowid: bool) -> None:
    """In the order of the key, which fills the tree from one end."""
    if op.get_bind().dialect.name != "sqlite":
        return
    names = [sa.Column(name, sa.String(size), nullable=False) for name, size in _NAMES]
    keys = ("width", "start_ms", *(column.name for column in names), "task")
    op.create_table(
        "anew",
        sa.Column("width", sa.String(4), nullable=False, comment="hour or day"),
        sa.Column("start_ms", sa.BigInteger(), nullable=False, comment="UTC"),
        *names,
        sa.Column("task", sa.String(100), nullable=False, server_default=""),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTED),
        sa.PrimaryKeyConstraint(*keys, name=op.f("pk_rollup")),
        sqlite_with_rowid=with_rowid,
    )
    op.execute(f"INSERT INTO anew SELECT * FROM rollup ORDER BY {', '.join(keys)}")  # noqa: S608  # our own names
    op.drop_table("rollup")
    op.rename_table("anew", "rollup")
    op.create_index(
        op.f("ix_rollup_key_hash_width_start_ms"), "rollup", ["key_hash", "width", "start_ms"]
    )
