"""Consents are asked for anew: those from before may name more than their users could grant.

The sessions that came of them go on, with what was granted. It deletes, so older versions stop before it.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
option: str = "consents"


def upgrade() -> None:
    """Apply."""
    op.execute("DELETE FROM consents")


def downgrade() -> None:
    """Nothing to reverse: what is gone is asked for again."""
