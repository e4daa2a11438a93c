"""Limits of API keys, and who made them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
option: str = "api_keys"
additive: bool = True


def upgrade() -> None:
    """Apply."""
    op.add_column("api_keys", sa.Column("per_minute", sa.Integer(), nullable=True))
    op.add_column("api_keys", sa.Column("made_by", sa.Uuid(), nullable=True))


def downgrade() -> None:
    """Reverse."""
    op.drop_column("api_keys", "made_by")
    op.drop_column("api_keys", "per_minute")
