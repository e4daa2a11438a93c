"""Appending: rows behind the last one, under the lock of the head.

A writer trusts the head only if its MAC is right. If the end of the trail is not as the service left it, the writer
goes on, so that breaking the trail does not stop the service; but it adds a mark, which `manage audit verify` reports
for ever.
"""

from collections.abc import Sequence

import orjson
import structlog
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import DBAPIError

from app.core.clock import utc_now
from app.core.crypto.keys import KeyRing
from app.core.database.database import table_of
from app.core.errors import Unavailable
from app.core.events.event import SecurityEvent
from app.core.events.flow import EventRecord, Outcome, RequestOrigin, emit_recorded
from app.features.audit.events import TrailEvent
from app.features.audit.models import HEAD_ID, AuditEvent, AuditHead
from app.features.audit.trail.chain import FIRST_DIGEST, ChainKeys, Head, digest_of
from app.features.audit.trail.entries import Entry, entry_of

_RETRY_AFTER_SECONDS = 5
_GROWTH_STEP = 100_000

_log = structlog.get_logger("app")

# Made once, and of the tables: every transaction with an event uses them.
_events, _heads = table_of(AuditEvent), table_of(AuditHead)
_ADD = insert(_events)
_START_HEAD = insert(_heads).values(id=HEAD_ID)
_MOVE_HEAD = update(_heads).where(_heads.c.id == HEAD_ID)
_HEAD = (
    select(_heads.c.sequence, _heads.c.digest, _heads.c.key_id, _heads.c.mac)
    .where(_heads.c.id == HEAD_ID)
    .with_for_update()
)
_LAST = select(func.max(_events.c.sequence))
_HEAD_AND_LAST = _HEAD.add_columns(_LAST.scalar_subquery())


def unavailable() -> Unavailable:
    """Return the error for an event that cannot be recorded: what has no record is not done."""
    return Unavailable("The audit trail cannot be written.", retry_after=_RETRY_AFTER_SECONDS)


class Appender:
    """Adds events to the trail, on the connection of a transaction, without awaiting each statement.

    With `follow`, it uses the key of the row before, if that is known: processes without a newer key can go on from it.
    """

    def __init__(self, keys: KeyRing, *, follow: bool = False) -> None:
        self._chain = ChainKeys(keys)
        self._follow = follow

    def __call__(self, connection: Connection, event_records: Sequence[EventRecord]) -> int:
        """Add the events, in order, and a mark if one is due; return the number of rows.

        Raises `Unavailable`, which rolls the transaction back.
        """
        return self._append(connection, [entry_of(event_record) for event_record in event_records])

    def mark(self, connection: Connection, event: SecurityEvent, **details: str | int) -> None:
        """Add a row about the trail itself; raises `Unavailable`."""
        self._append(connection, [_mark(event, "success", **details)])

    def _append(self, connection: Connection, entries: list[Entry]) -> int:
        try:
            return self._append_rows(connection, entries)
        except DBAPIError as error:
            _log.error("audit_unwritable", error=type(error).__name__, exc_info=error)
            raise unavailable() from error

    def _append_rows(self, connection: Connection, entries: list[Entry]) -> int:
        head, last = _lock_end(connection)
        chain = self._chain.following(head) if self._follow else self._chain
        entries = [*_marks(chain, head, last), *entries]
        if not entries:
            return 0
        before, digest = (max(head.sequence, last), head.digest) if head else (last, FIRST_DIGEST)
        rows: list[Entry] = []
        for sequence, entry in enumerate(entries, before + 1):
            row = {**entry, "sequence": sequence, "key_id": chain.current_id}
            digest = digest_of(digest, row)
            rows.append({**row, "digest": digest, "mac": chain.row_mac(digest)})
        # With its nulls: the same statement for every row, so that each takes the same time.
        connection.execute(_ADD, rows)
        sequence = before + len(rows)
        connection.execute(_MOVE_HEAD if head else _START_HEAD, chain.head(sequence, digest)._asdict())
        if sequence // _GROWTH_STEP > before // _GROWTH_STEP:
            _log.warning("audit_trail_grew", rows=sequence, hint="manage audit archive")
        return len(rows)


def lock_head(connection: Connection) -> Head | None:
    """Lock the head, so that one writer in all processes goes on, and return it as it is stored.

    PostgreSQL locks its row; SQLite has locked the file before the first statement.
    """
    row = connection.execute(_HEAD).one_or_none()
    return row and Head(*row)


def _lock_end(connection: Connection) -> tuple[Head | None, int]:
    """Lock the head; return it and the number of the last row.

    SQLite reads both in one statement. On PostgreSQL, a statement sees the rows of before the lock, so a second one
    reads the last row: it sees what the writer before has committed.
    """
    if connection.dialect.name == "sqlite":
        row = connection.execute(_HEAD_AND_LAST).one_or_none()
        if row is not None:
            return Head(*row[:-1]), row[-1] or 0
    head = lock_head(connection)
    return head, connection.scalar(_LAST) or 0


def _marks(chain: ChainKeys, head: Head | None, last: int) -> list[Entry]:
    """Return the row that goes before, if the trail ended otherwise than under the current key."""
    flaw = _flaw(chain, head, last)
    if flaw is not None:
        return [_mark(TrailEvent.AUDIT_CHAIN_BROKEN, "failure", reason=flaw)]
    if head is None or head.is_fresh or head.key_id == chain.current_id:
        return []
    outcome: Outcome = "success" if chain.confirms_head(head) else "failure"
    # With the old MAC, so that whoever has the old key can tell later that the head was genuine.
    return [_mark(TrailEvent.AUDIT_KEY_CHANGED, outcome, previous=head.key_id.hex(), head=head.mac.hex())]


def _flaw(chain: ChainKeys, head: Head | None, last: int) -> str | None:
    if head is None:
        return "the head is missing"
    if head.sequence > last:
        return "rows are missing at the end"
    if head.sequence < last:
        return "rows were added at the end"
    if chain.knows(head.key_id) and not chain.confirms_head(head):
        return "the head was changed"
    return None


def _mark(event: SecurityEvent, outcome: Outcome, **details: str | int) -> Entry:
    event_record = EventRecord(event, outcome, details, utc_now(), RequestOrigin())
    emit_recorded(event_record)
    # Not redacted: a MAC has the shape of a secret, and is none.
    return {**entry_of(event_record), "details": orjson.dumps(details).decode()}
