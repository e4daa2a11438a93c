"""Mailboxes are compared in lower case: addresses that differ in a `+tag`, or in `ß` and `ss`, are no longer one."""

import unicodedata
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_columns = (sa.column("email", sa.String), sa.column("mailbox", sa.String))
_users = sa.table("users", sa.column("id", sa.Uuid), sa.column("verified_at", sa.DateTime), *_columns)


def upgrade() -> None:
    """Apply: give each account the mailbox of its own spelling. No two of them are alike that were not before."""
    connection = op.get_bind()
    for user in connection.execute(sa.select(_users)).all():
        email = unicodedata.normalize("NFKC", user.email)
        mailbox = (
            unicodedata.normalize("NFKC", email.rpartition("@")[0].lower()) + "@" + user.mailbox.rpartition("@")[2]
        )
        # Where mail goes is what its owner has confirmed; until then, the canonical spelling.
        changed = {"mailbox": mailbox, "email": email if user.verified_at is None else user.email}
        if changed != {"mailbox": user.mailbox, "email": user.email}:
            connection.execute(sa.update(_users).where(_users.c.id == user.id).values(changed))
    # They hold the mailbox of an address that was asked for, and live for an hour.
    op.execute("DELETE FROM account_tokens WHERE kind = 'eml'")


def downgrade() -> None:
    """Nothing to reverse: two accounts may have mailboxes that were one, and neither is to go."""
