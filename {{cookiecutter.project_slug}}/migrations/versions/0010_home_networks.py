"""Home networks: where the limits of the sign-in let the right password in."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
additive: bool = True


def upgrade() -> None:
    """Apply. Nothing is taken over from the sessions: they do not tell who was the owner."""
    op.create_table(
        "home_networks",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("network", sa.String(45), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "network", name="pk_home_networks"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_home_networks_user_id_users", ondelete="CASCADE"),
    )


def downgrade() -> None:
    """Reverse."""
    op.drop_table("home_networks")
