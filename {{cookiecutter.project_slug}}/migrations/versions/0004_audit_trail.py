"""The audit trail: its rows and its head, and the triggers that make the rows append-only."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_INDEXED = ("created_at", "action", "actor_id", "target_id")

_SQLITE = {
    "audit_events_no_update": "BEFORE UPDATE ON audit_events",
    "audit_events_no_delete": "BEFORE DELETE ON audit_events",
    # INSERT OR REPLACE deletes without asking a trigger.
    "audit_events_no_replace": (
        "BEFORE INSERT ON audit_events WHEN EXISTS (SELECT 1 FROM audit_events WHERE sequence = NEW.sequence)"
    ),
    "audit_heads_no_delete": "BEFORE DELETE ON audit_heads",
    "audit_heads_no_replace": "BEFORE INSERT ON audit_heads WHEN EXISTS (SELECT 1 FROM audit_heads WHERE id = NEW.id)",
    "audit_heads_no_return": "BEFORE UPDATE ON audit_heads WHEN NEW.sequence <= OLD.sequence",
}
_POSTGRESQL = {
    "audit_events_append_only": ("audit_events", "BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events"),
    "audit_heads_no_delete": ("audit_heads", "BEFORE DELETE OR TRUNCATE ON audit_heads"),
    "audit_heads_no_return": (
        "audit_heads",
        "BEFORE UPDATE ON audit_heads FOR EACH ROW WHEN (NEW.sequence <= OLD.sequence)",
    ),
}


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit_events",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("target_type", sa.String(32), nullable=True),
        sa.Column("target_id", sa.String(64), nullable=True),
        sa.Column("ip", sa.String(45), nullable=True),
        sa.Column("user_agent", sa.String(300), nullable=True),
        sa.Column("request_id", sa.String(64), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(4), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_events"),
    )
    for column in _INDEXED:
        op.create_index(f"ix_audit_events_{column}", "audit_events", [column])
    heads = op.create_table(
        "audit_heads",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("key_id", sa.LargeBinary(4), nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_heads"),
    )
    # There from the beginning, so that the first writers have something to lock.
    op.bulk_insert(heads, [{"id": 1, "sequence": 0, "digest": bytes(32), "key_id": b"", "mac": b""}])
    if op.get_bind().dialect.name == "sqlite":
        for name, when in _SQLITE.items():
            refusal = f"SELECT RAISE(ABORT, '{name}: the audit trail only grows');"
            op.execute(f"CREATE TRIGGER {name} {when} BEGIN {refusal} END")
    else:
        _create_postgresql_triggers()


def _create_postgresql_triggers() -> None:
    op.execute(
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '%: the audit trail only grows', TG_NAME; END $$"
    )
    for name, (_, when) in _POSTGRESQL.items():
        op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION audit_refuse()")


def downgrade() -> None:
    """Reverse."""
    if op.get_bind().dialect.name == "sqlite":
        for name in _SQLITE:
            op.execute(f"DROP TRIGGER {name}")
    else:
        for name, (table, _) in _POSTGRESQL.items():
            op.execute(f"DROP TRIGGER {name} ON {table}")
        op.execute("DROP FUNCTION audit_refuse()")
    op.drop_table("audit_heads")
    op.drop_table("audit_events")
