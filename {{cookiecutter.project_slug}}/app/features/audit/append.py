"""Appending: rows behind the last one, under the lock of the head.

A writer believes the head only as far as its MAC goes. Where the end of the trail is not as the service left it, the
writer goes on, so that nobody can stop the service by breaking the trail; but it leaves a mark in the trail, which
`manage audit verify` reports for ever.
"""

from collections.abc import Iterable, Sequence

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
from app.features.audit.chain import FIRST_DIGEST, ChainKeys, Head, digest_of
from app.features.audit.entries import Entry, entry_of
from app.features.audit.events import TrailEvent
from app.features.audit.models import HEAD_ID, AuditEvent, AuditHead

_RETRY_AFTER_SECONDS = 5
_GROWTH_STEP = 100_000

_log = structlog.get_logger("app")

# Made once, and of the tables: every change of anything comes through here.
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
    """The answer where an event cannot be recorded: what nobody could account for is not done."""
    return Unavailable("The audit trail cannot be written.", retry_after=_RETRY_AFTER_SECONDS)


class Appender:
    """Adds events to the trail, on the connection of a transaction, without awaiting each statement.

    With `follow`, under the key of the row before, where that is known: processes that have no other can go on from it.
    """

    def __init__(self, keys: KeyRing, *, follow: bool = False) -> None:
        self._chain = ChainKeys(keys)
        self._follow = follow

    def __call__(self, connection: Connection, event_records: Sequence[EventRecord]) -> int:
        """Add the events, in order, and a mark where one is due; how many rows that makes.

        Raises `Unavailable`, which rolls the transaction back.
        """
        try:
            return self._append(connection, [entry_of(event_record) for event_record in event_records])
        except DBAPIError as error:
            _log.error("audit_unwritable", error=type(error).__name__, exc_info=error)
            raise unavailable() from error

    def mark(self, connection: Connection, event: SecurityEvent, **details: str | int) -> None:
        """Add a row that says something of the trail itself; raises `Unavailable`."""
        try:
            self._append(connection, [_mark(event, "success", **details)])
        except DBAPIError as error:
            raise unavailable() from error

    def _append(self, connection: Connection, entries: list[Entry]) -> int:
        head, last = _lock_end(connection)
        chain = self._chain.following(head) if self._follow else self._chain
        entries = [*_marks(chain, head, last), *entries]
        if not entries:
            return 0
        sequence, digest = max(head.sequence, last) if head else last, head.digest if head else FIRST_DIGEST
        rows, before = [], sequence
        for sequence, entry in enumerate(entries, start=sequence + 1):  # noqa: B020  # goes on from where it stood
            row = {**entry, "sequence": sequence, "key_id": chain.current_id}
            digest = digest_of(digest, row)
            rows.append({**row, "digest": digest, "mac": chain.row_mac(digest)})
        # With its nulls: the same statement for every row, so that none takes another time than the next.
        connection.execute(_ADD, rows)
        connection.execute(_MOVE_HEAD if head else _START_HEAD, chain.head(sequence, digest)._asdict())
        if sequence // _GROWTH_STEP > before // _GROWTH_STEP:
            _log.warning("audit_trail_grew", rows=sequence, hint="manage audit archive")
        return len(rows)


def lock_head(connection: Connection) -> Head | None:
    """The head as it is stored; one writer at a time, in every process.

    PostgreSQL locks its row, SQLite has locked the file before the first statement.
    """
    row = connection.execute(_HEAD).one_or_none()
    return row and Head(*row)


def _lock_end(connection: Connection) -> tuple[Head | None, int]:
    """The head, locked, and the number of the last row.

    SQLite reads both in one statement. On PostgreSQL, what else a statement saw is of before the lock, so another,
    behind it, asks for the last row: that one sees what the writer before has committed.
    """
    if connection.dialect.name == "sqlite":
        row = connection.execute(_HEAD_AND_LAST).one_or_none()
        if row is not None:
            return Head(*row[:-1]), row[-1] or 0
    head = lock_head(connection)
    return head, connection.scalar(_LAST) or 0


def _marks(chain: ChainKeys, head: Head | None, last: int) -> Iterable[Entry]:
    """The rows that go before, where the trail ended otherwise than under the current key."""
    flaw = _flaw(chain, head, last)
    if flaw is not None:
        yield _mark(TrailEvent.AUDIT_CHAIN_BROKEN, "failure", reason=flaw)
    elif head and not head.is_fresh and head.key_id != chain.current_id:
        confirmed = chain.confirms_head(head)
        outcome: Outcome = "success" if confirmed else "failure"
        # With the old MAC, so that whoever has the old key can tell later that the head was genuine.
        yield _mark(TrailEvent.AUDIT_KEY_CHANGED, outcome, previous=head.key_id.hex(), head=head.mac.hex())


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
    # As they are: a MAC has the shape of a secret, and is none.
    return {**entry_of(event_record), "details": orjson.dumps(details).decode()}
