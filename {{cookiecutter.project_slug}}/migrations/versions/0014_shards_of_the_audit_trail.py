"""The audit trail in shards: each has a head of its own, so that writers do not wait for one row.

Not additive: a version that knows one head takes the rows of other shards for rows that were added behind its back. Its
writers are refused, for `audit_heads` has no column `sequence` any more.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SHARDS = 8
_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "shard": sa.SmallInteger(),
    "place": sa.BigInteger(),
    "seen": sa.BigInteger(),
    "seen_digest": sa.LargeBinary(32),
}
_IN_A_SHARD = sa.text("shard IS NOT NULL")
_NUMBERS = "SELECT setval('audit_events_number', coalesce(max(sequence), 0) + 1, false) FROM audit_events"

_heads = sa.table(
    "audit_heads",
    sa.column("id", sa.Integer),
    sa.column("place", sa.BigInteger),
    sa.column("digest", sa.LargeBinary),
    sa.column("key_id", sa.LargeBinary),
    sa.column("mac", sa.LargeBinary),
)


def upgrade() -> None:
    """Apply. The rows that are there stay as they were hashed: without a shard, they are of the first one."""
    for name, kind in _COLUMNS.items():
        op.add_column("audit_events", sa.Column(name, kind, nullable=True))
    op.create_index(
        "ix_audit_events_shard_place",
        "audit_events",
        ["shard", "place"],
        unique=True,
        postgresql_where=_IN_A_SHARD,
        sqlite_where=_IN_A_SHARD,
    )
    op.execute("ALTER TABLE audit_heads RENAME COLUMN sequence TO place")
    connection = op.get_bind()
    present = set(connection.scalars(sa.select(_heads.c.id)))
    fresh = {"place": 0, "digest": bytes(32), "key_id": b"", "mac": b""}
    op.bulk_insert(_heads, [{"id": shard, **fresh} for shard in range(2, _SHARDS + 1) if shard not in present])
    if connection.dialect.name != "sqlite":
        op.execute("CREATE SEQUENCE audit_events_number OWNED BY audit_events.sequence")
        op.execute(_NUMBERS)


def downgrade() -> None:
    """Reverse, as long as no row is in a shard: the version before would take them for added ones.

    The heads stay: it does not look at them.
    """
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT 1 FROM audit_events WHERE shard IS NOT NULL LIMIT 1")):
        raise RuntimeError("The audit trail has rows in shards, which the version before cannot verify.")
    if connection.dialect.name != "sqlite":
        op.execute("DROP SEQUENCE audit_events_number")
    op.execute("ALTER TABLE audit_heads RENAME COLUMN place TO sequence")
    op.drop_index("ix_audit_events_shard_place", "audit_events")
    for name in reversed(_COLUMNS):
        op.drop_column("audit_events", name)
