"""Mail that waits names its kind and the account that it is about, for the copy that people can have of their data."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
additive: bool = True


def upgrade() -> None:
    """Apply. Mail that waits already names none."""
    op.add_column("outbox", sa.Column("kind", sa.String(64), nullable=True))
    op.add_column("outbox", sa.Column("user_id", sa.Uuid(), nullable=True))
    op.create_index("ix_outbox_user_id", "outbox", ["user_id"])


def downgrade() -> None:
    """Reverse."""
    op.drop_index("ix_outbox_user_id", "outbox")
    op.drop_column("outbox", "user_id")
    op.drop_column("outbox", "kind")
