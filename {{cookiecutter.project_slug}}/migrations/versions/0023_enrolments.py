"""Factors that are being added: an enrolment belongs to one session, and is used once."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
additive: bool = True


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "enrolments",
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_enrolments_session_id_sessions", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="pk_enrolments"),
    )
    op.create_index("ix_enrolments_session_id", "enrolments", ["session_id"])
    op.create_index("ix_enrolments_expires_at", "enrolments", ["expires_at"])


def downgrade() -> None:
    """Reverse. What was begun is begun anew."""
    op.drop_table("enrolments")
