"""Mail that waits is found by the digest of its recipient, for the copy that people can have of their data."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
additive: bool = True


def upgrade() -> None:
    """Apply. Mail that waits already has none."""
    op.add_column("outbox", sa.Column("recipient", sa.LargeBinary(32), nullable=True))
    op.create_index("ix_outbox_recipient", "outbox", ["recipient"])


def downgrade() -> None:
    """Reverse."""
    op.drop_index("ix_outbox_recipient", "outbox")
    op.drop_column("outbox", "recipient")
