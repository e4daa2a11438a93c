"""Sessions that identities opened: their end at the provider ends them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
option: str = "identities"
additive: bool = True


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "identity_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("identity_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("challenge_hash", sa.LargeBinary(32), nullable=True),
        sa.Column("sid", sa.String(255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name="fk_identity_sessions_identity_id_identities", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_identity_sessions_session_id_sessions", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_identity_sessions"),
    )
    for column in ("identity_id", "session_id", "challenge_hash", "sid"):
        op.create_index(f"ix_identity_sessions_{column}", "identity_sessions", [column])


def downgrade() -> None:
    """Reverse."""
    op.drop_table("identity_sessions")
