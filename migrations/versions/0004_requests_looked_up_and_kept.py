"""what requests are looked up by, their measured steps, and how long projects keep their content.

Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_generation_key_hash_id": ("generation", ["key_hash", "id"], None),
    "ix_generation_project_id": ("generation", ["project", "id"], None),
    "ix_generation_request_id": ("generation", ["request_id"], None),
    "ix_generation_trace_id": ("generation", ["trace_id"], None),
    "ix_generation_failed": ("generation", ["id"], "error_type IS NOT NULL"),
    "ix_generation_error_type": (
        "generation",
        ["error_type", "id"],
        "error_type IS NOT NULL",
    ),
    "ix_generation_fallen_back": ("generation", ["id"], "fallbacks > 0"),
    "ix_generation_session": ("generation", ["session_id", "id"], "session_id IS NOT NULL"),
    "ix_generation_user": ("generation", ["user", "id"], '"user" IS NOT NULL'),
    "ix_api_key_name": ("api_key", ["name"], None),
}
_KEPT = {
    "keep_text_hours": "how long its requests' text is kept; 0: not",
    "keep_audio_hours": "how long its requests' audio is kept; 0: not",
}


def upgrade() -> None:
    op.add_column(
        "generation",
        sa.Column(
            "timings", sa.Text(), comment="JSON: its measured steps, in ms from its beginning"
        ),
    )
    for name, comment in _KEPT.items():
        op.add_column(
            "project",
            sa.Column(name, sa.Integer(), nullable=False, server_default="0", comment=comment),
        )
    op.create_table(
        "request_text",
        sa.Column("generation_id", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generation.id"], name=op.f("fk_request_text_generation_id")
        ),
        sa.PrimaryKeyConstraint("generation_id", name=op.f("pk_request_text")),
    )
    op.create_index(op.f("ix_request_text_expires_ms"), "request_text", ["expires_ms"])
    for name, (table, columns, where) in _INDEXES.items():
        only = None if where is None else sa.text(where)
        op.create_index(op.f(name), table, columns, sqlite_where=only, postgresql_where=only)


def downgrade() -> None:
    for name, (table, _, _) in _INDEXES.items():
        op.drop_index(op.f(name), table)
    op.drop_table("request_text")
    for name in _KEPT:
        op.drop_column("project", name)
    op.drop_column("generation", "timings")
