"""Which transactions changed a session, an account or its roles: what replicas keep of it is read anew.

On PostgreSQL alone the table is filled, by triggers: SQLite tells of every commit itself.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
additive: bool = True

# No column is named in a trigger: PostgreSQL would not let a later migration change its type. So each change of a row
# counts, but for the columns that the arguments of the trigger name, which are compared or not used.
# A role of an account without a session is nothing new to anybody: the account has just been made.
# Rows of transactions that no replica asks for go: older ones, and those of a backup, which have numbers to come.
_FUNCTION = """
CREATE FUNCTION note_principal_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  whose uuid[];
  mine bigint := pg_current_xact_id()::text::bigint;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    whose := ARRAY['00000000-0000-0000-0000-000000000000'];
  ELSIF TG_OP = 'UPDATE' AND to_jsonb(OLD) - TG_ARGV[0] = to_jsonb(NEW) - TG_ARGV[0] THEN
    RETURN NULL;
  ELSIF TG_TABLE_NAME = 'users' THEN
    whose := ARRAY[OLD.id];
  ELSIF TG_OP = 'INSERT' THEN
    whose := ARRAY(SELECT NEW.user_id WHERE EXISTS (SELECT FROM sessions WHERE user_id = NEW.user_id));
  ELSIF TG_OP = 'UPDATE' THEN
    whose := ARRAY[OLD.user_id, NEW.user_id];
  ELSIF TG_TABLE_NAME = 'user_roles' OR to_jsonb(OLD) -> 'ended_at' = 'null' THEN
    whose := ARRAY[OLD.user_id];
  END IF;
  IF cardinality(whose) > 0 THEN
    INSERT INTO principal_changes (xid, user_id) SELECT DISTINCT mine, unnest(whose) ON CONFLICT DO NOTHING;
    DELETE FROM principal_changes WHERE (xid, user_id) IN (
      SELECT xid, user_id FROM principal_changes
      WHERE xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 100000
      OR xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint AND xid <> mine
      LIMIT 100 FOR UPDATE SKIP LOCKED
    );
    RAISE INFO 'principal_changes';
  END IF;
  RETURN NULL;
END
$$
"""
_UNWATCHED = {"sessions": "last_seen_at", "users": "password_hash", "user_roles": ""}
_EVENTS = {"sessions": "UPDATE OR DELETE", "users": "UPDATE OR DELETE", "user_roles": "INSERT OR UPDATE OR DELETE"}


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "principal_changes",
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("xid", "user_id", name=op.f("pk_principal_changes")),
    )
    if op.get_context().dialect.name == "sqlite":
        return
    op.execute(_FUNCTION)
    for table, events in _EVENTS.items():
        call = f"EXECUTE FUNCTION note_principal_change('{_UNWATCHED[table]}')"
        op.execute(f"CREATE TRIGGER principal_changed AFTER {events} ON {table} FOR EACH ROW {call}")
        op.execute(f"CREATE TRIGGER principals_truncated AFTER TRUNCATE ON {table} {call}")


def downgrade() -> None:
    """Reverse."""
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION note_principal_change() CASCADE")
    op.drop_table("principal_changes")
