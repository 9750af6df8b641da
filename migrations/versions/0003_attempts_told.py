"""why each attempt was made, with which key, for which part of the text, and what was heard of it.

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column(
            "kind",
            sa.String(10),
            nullable=False,
            server_default="first",
            comment="why it was made: first repeat credential fallback hedge resume",
        ),
        sa.Column(
            "credential", sa.Text(), comment="the variable that holds the key it was made with"
        ),
        sa.Column(
            "from_character",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="where in the text it began",
        ),
        sa.Column(
            "audio_ms",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="how much of its audio the client was given",
        ),
    ):
        op.add_column("attempt", column)
    # Until now a further attempt asked the next offer, or the same one again. What the
    # generations count as fallbacks stays as it was reported.
    op.execute(
        "UPDATE attempt SET kind = CASE WHEN EXISTS (SELECT 1 FROM attempt AS earlier"
        " WHERE earlier.generation_id = attempt.generation_id AND earlier.seq = attempt.seq - 1"
        " AND earlier.provider = attempt.provider AND earlier.model = attempt.model)"
        " THEN 'repeat' ELSE 'fallback' END WHERE seq > 1"
    )


def downgrade() -> None:
    for column in ("kind", "credential", "from_character", "audio_ms"):
        op.drop_column("attempt", column)
