"""Second factors, and the sign-ins that wait for one."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
additive: bool = True


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "factors",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_factors_user_id_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_factors"),
    )
    op.create_index("ix_factors_user_id", "factors", ["user_id"])
    op.create_table(
        "unfinished_sign_ins",
        sa.Column("challenge_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_unfinished_sign_ins_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("challenge_hash", name="pk_unfinished_sign_ins"),
    )
    op.create_index("ix_unfinished_sign_ins_user_id", "unfinished_sign_ins", ["user_id"])
    op.create_index("ix_unfinished_sign_ins_expires_at", "unfinished_sign_ins", ["expires_at"])


def downgrade() -> None:
    """Reverse."""
    op.drop_table("unfinished_sign_ins")
    op.drop_table("factors")
