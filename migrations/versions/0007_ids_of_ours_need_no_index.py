"""of request ids and traces, only those that clients brought are indexed: ours tell their record.

Revision: 0007, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

_ALL = {"ix_generation_request_id": "request_id", "ix_generation_trace_id": "trace_id"}
_BROUGHT = {
    "ix_generation_request": ("request_id", "substr(request_id, 5) <> substr(id, 9)"),
    "ix_generation_trace": ("trace_id", "substr(trace_id, 13) <> substr(id, 23)"),
}


def upgrade() -> None:
    for name in _ALL:
        op.drop_index(op.f(name), "generation")
    for name, (column, where) in _BROUGHT.items():
        only = sa.text(where)
        op.create_index(
            op.f(name), "generation", [column], sqlite_where=only, postgresql_where=only
        )


def downgrade() -> None:
    for name in _BROUGHT:
        op.drop_index(op.f(name), "generation")
    for name, column in _ALL.items():
        op.create_index(op.f(name), "generation", [column])
