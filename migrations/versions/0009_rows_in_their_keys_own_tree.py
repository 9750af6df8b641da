"""on SQLite, narrow rows with long keys lie in their key's own tree, not in another beside it.

Revision: 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = {
    "attempt": "generation_id, seq",
    "entry": "generation_id, ledger, kind, seq",
    "rollup": "width, start_ms, key_hash, model, provider, app, task",
}
_MADE = sa.text(
    "SELECT sql FROM sqlite_master WHERE tbl_name = :table AND sql IS NOT NULL ORDER BY type DESC"
)
_ONE_TREE = " WITHOUT ROWID"


def upgrade() -> None:
    _make_anew(_ONE_TREE)


def downgrade() -> None:
    _make_anew("")


def _make_anew(how: str) -> None:
    """In the order of their keys, which fills each tree from one end."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    for table, keys in _TABLES.items():
        made, *indexes = connection.scalars(_MADE, {"table": table}).all()
        op.rename_table(table, "former")
        op.execute(made.removesuffix(_ONE_TREE) + how)
        op.execute(f"INSERT INTO {table} SELECT * FROM former ORDER BY {keys}")  # noqa: S608  # our own names
        op.drop_table("former")
        for index in indexes:
            op.execute(index)
