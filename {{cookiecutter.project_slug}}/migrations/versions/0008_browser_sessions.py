"""Browser sessions."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
option: str = "browser_sessions"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "browser_sessions",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("id_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name="pk_browser_sessions"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_browser_sessions_session_id_sessions", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("id_hash", name="uq_browser_sessions_id_hash"),
    )


def downgrade() -> None:
    """Reverse."""
    op.drop_table("browser_sessions")
