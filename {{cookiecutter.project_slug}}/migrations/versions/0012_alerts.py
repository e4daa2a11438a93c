"""Which mails an account does not want, and the devices that it is signed in to from."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
additive: bool = True


def upgrade() -> None:
    """Apply."""
    op.add_column("users", sa.Column("muted", sa.String(200), nullable=True))
    op.add_column("sessions", sa.Column("device", sa.LargeBinary(32), nullable=True))
    op.create_index("ix_sessions_device", "sessions", ["device"])


def downgrade() -> None:
    """Reverse."""
    op.drop_index("ix_sessions_device", "sessions")
    op.drop_column("sessions", "device")
    op.drop_column("users", "muted")
