"""The versions that work with the schema."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
additive: bool = True


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "compatible_revisions",
        sa.Column("revision", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_compatible_revisions"),
    )


def downgrade() -> None:
    """Reverse."""
    op.drop_table("compatible_revisions")
