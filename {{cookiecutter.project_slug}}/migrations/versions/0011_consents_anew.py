"""Consents are asked for anew: those from before may name more than their users could grant.

The sessions that came of them go on, with what was granted.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
additive: bool = True


def upgrade() -> None:
    """Apply."""
    op.execute("DELETE FROM consents")


def downgrade() -> None:
    """Nothing to reverse: what is gone is asked for again."""
