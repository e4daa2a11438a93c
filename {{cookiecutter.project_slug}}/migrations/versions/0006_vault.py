"""The vault."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
option: str = "secrets"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("secret_string", sa.LargeBinary(), nullable=True),
        sa.Column("secret_bytes", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_secrets"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_secrets_user_id_users", ondelete="CASCADE"),
    )
    op.create_index("ix_secrets_user_id", "secrets", ["user_id"])


def downgrade() -> None:
    """Reverse."""
    op.drop_table("secrets")
