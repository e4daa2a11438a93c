"""OAuth 2 clients, and which of them has a session."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply: every session that there is began with the service's own sign-in."""
    op.create_table(
        "oauth_clients",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=True),
        sa.Column("secret_issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_party", sa.Boolean(), nullable=False),
        sa.Column("grants", sa.String(200), nullable=False),
        sa.Column("redirect_uris", sa.Text(), nullable=False),
        sa.Column("scope", sa.String(2000), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_clients"),
        sa.UniqueConstraint("client_id", name="uq_oauth_clients_client_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_oauth_clients_user_id_users", ondelete="SET NULL"),
    )
    op.create_index("ix_oauth_clients_user_id", "oauth_clients", ["user_id"])
    op.add_column("sessions", sa.Column("client_id", sa.String(64), nullable=True))
    op.create_index("ix_sessions_client_id", "sessions", ["client_id"])


def downgrade() -> None:
    """Reverse: without their clients, the sessions of clients would be taken for sign-ins of the service's own."""
    op.execute(sa.text("DELETE FROM sessions WHERE client_id IS NOT NULL"))
    op.drop_index("ix_sessions_client_id", "sessions")
    op.drop_column("sessions", "client_id")
    op.drop_table("oauth_clients")
