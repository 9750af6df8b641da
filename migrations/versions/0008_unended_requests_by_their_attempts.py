"""what has not ended is told by its attempts, so that ending a request leaves its indexes alone.

Of what the operator's rule ended, no attempt is unknown any more.

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ATTEMPT = sa.text("outcome IN ('intent', 'unknown')")
_GENERATION = sa.text("status IN ('held', 'unknown')")


def upgrade() -> None:
    # One that owes nothing stays: its characters count for its provider because it is unknown.
    op.execute(
        "UPDATE attempt SET outcome = 'abandoned' WHERE outcome = 'unknown' AND liability_nano > 0"
        " AND generation_id IN (SELECT id FROM generation WHERE status = 'settled')"
    )
    op.create_index(
        op.f("ix_attempt_open"),
        "attempt",
        ["outcome", "generation_id"],
        sqlite_where=_ATTEMPT,
        postgresql_where=_ATTEMPT,
    )
    op.drop_index(op.f("ix_generation_open"), "generation")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE generation SET (fillfactor = 50)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE generation RESET (fillfactor)")
    op.create_index(
        op.f("ix_generation_open"),
        "generation",
        ["status", "instance"],
        sqlite_where=_GENERATION,
        postgresql_where=_GENERATION,
    )
    op.drop_index(op.f("ix_attempt_open"), "attempt")
