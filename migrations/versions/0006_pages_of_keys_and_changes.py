"""what pages of keys and of changes are put in order by.

Revision: 0006, after 0005.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_api_key_created_ms": ("api_key", ["created_ms"]),
    "ix_audit_actor_id": ("audit", ["actor", "id"]),
}


def upgrade() -> None:
    for name, (table, columns) in _INDEXES.items():
        op.create_index(op.f(name), table, columns)


def downgrade() -> None:
    for name, (table, _) in _INDEXES.items():
        op.drop_index(op.f(name), table)
