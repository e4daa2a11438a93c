"""Passkeys: sign-ins that wait for any of them have no user, and factors tell from where they were last used."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.add_column("factors", sa.Column("last_used_ip", sa.String(45), nullable=True))
    with op.batch_alter_table("unfinished_sign_ins") as table:
        table.alter_column("user_id", existing_type=sa.Uuid(), nullable=True)


def downgrade() -> None:
    """Reverse. The sign-ins that wait for a passkey go: they begin anew."""
    op.execute("DELETE FROM unfinished_sign_ins WHERE user_id IS NULL")
    with op.batch_alter_table("unfinished_sign_ins") as table:
        table.alter_column("user_id", existing_type=sa.Uuid(), nullable=False)
    op.drop_column("factors", "last_used_ip")
