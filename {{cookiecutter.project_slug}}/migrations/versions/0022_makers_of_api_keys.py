"""Who made an API key is forgotten with their account. Older versions stop before it: it empties what names nobody."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
option: str = "api_keys"

_FOREIGN_KEY = "fk_api_keys_made_by_users"
_keys, _users = sa.table("api_keys", sa.column("made_by")), sa.table("users", sa.column("id"))


def upgrade() -> None:
    """Apply."""
    op.execute(sa.update(_keys).where(_keys.c.made_by.not_in(sa.select(_users.c.id))).values(made_by=None))
    with op.batch_alter_table("api_keys") as table:
        table.create_foreign_key(_FOREIGN_KEY, "users", ["made_by"], ["id"], ondelete="SET NULL")
    op.create_index("ix_api_keys_made_by", "api_keys", ["made_by"])


def downgrade() -> None:
    """Reverse."""
    op.drop_index("ix_api_keys_made_by", "api_keys")
    with op.batch_alter_table("api_keys") as table:
        table.drop_constraint(_FOREIGN_KEY, type_="foreignkey")
