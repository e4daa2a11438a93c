"""Appending: rows behind the last one of a shard, under the lock of its head.

A writer takes a shard that no other one holds. It trusts the head only if its MAC is right. If the end of the shard is
not as the service left it, the writer goes on, so that breaking the trail does not stop the service; but it adds a
mark, which `manage audit verify` reports for ever.
"""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import structlog
from sqlalchemy import Connection, Integer, bindparam, func, insert, or_, select, text, update
from sqlalchemy.exc import DBAPIError

from app.core.clock import utc_now
from app.core.crypto import KeyRing
from app.core.database.database import table_of
from app.core.errors import Unavailable
from app.core.events import SUBJECT, EventRecord, Outcome, RequestOrigin, SecurityEvent, emit_recorded
from app.core.logging.redaction import redact_fields, redact_text
from app.features.audit.events import TrailEvent
from app.features.audit.models import SHARDS, AuditEvent, AuditHead
from app.features.audit.trail.chain import ChainKeys, End, Head, digest_of

Entry = dict[str, Any]
"""The columns of a row, without those of the chain."""

_LONGEST_DETAILS = 4096
_GROWTH_STEP = 100_000
_log = structlog.get_logger("app")
# Made once, and of the tables: every transaction with an event uses them.
_events, _heads = table_of(AuditEvent), table_of(AuditHead)
_ADD = insert(_events)
_START_HEAD = insert(_heads).values(id=bindparam("shard"))
_MOVE_HEAD = update(_heads).where(_heads.c.id == bindparam("shard"))
# Both in one statement, on PostgreSQL: one round trip less while the head is held.
_ADD_AND_MOVE_HEAD = insert(_events).add_cte(
    update(_heads)
    .where(_heads.c.id == bindparam("head_id"))
    .values({name: bindparam(f"head_{name}") for name in Head._fields})
    .cte("moved")
)
_HEADS = select(_heads.c.id, _heads.c.place, _heads.c.digest, _heads.c.key_id, _heads.c.mac).with_for_update()
_HEAD = _HEADS.where(_heads.c.id == bindparam("shard"))
# First one that an earlier key confirms: after a change of the key, all shards soon are under the new one.
_FREE_HEAD = (
    _HEADS.where(_heads.c.id <= bindparam("shards"))
    .order_by(or_(_heads.c.key_id == bindparam("current"), _heads.c.key_id == b""), _heads.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_HEAD_AND_LAST = _HEAD.add_columns(select(func.max(_events.c.sequence)).scalar_subquery())
# A shard that is empty may be one from before there were shards. Who sees a row has a higher number than it.
_TAIL = text(
    """
    SELECT coalesce(
        (SELECT max(place) FROM audit_events WHERE shard = :shard),
        (SELECT max(sequence) FROM audit_events WHERE shard IS NULL AND :shard = 1)
    ), newest.sequence, newest.digest, ARRAY(SELECT nextval('audit_events_number') FROM generate_series(1, :count))
    FROM (SELECT 1) AS one
    LEFT JOIN (SELECT sequence, digest FROM audit_events ORDER BY sequence DESC LIMIT 1) AS newest ON true
    """
).bindparams(bindparam("shard", type_=Integer), bindparam("count", type_=Integer))


def entry_of(event_record: EventRecord) -> Entry:
    """Return the columns: who, what, on what, from where, with which outcome; bounded, and without secrets."""
    fields, origin = dict(event_record.fields), event_record.origin
    user_id, session_id = _id(fields.get("user_id")), _id(fields.get("session_id"))
    # If something happened to a user, the actor is the principal of the request, or not known: a mailed token shows
    # that somebody reads the mailbox, and not who.
    actor_id = origin.actor_id or (None if event_record.action.user_is is SUBJECT else user_id)
    asking = origin.session_id or session_id
    target_type, target_id = _target(event_record.action, fields)
    fields.pop("target_type", None)
    fields.pop("target_id", None)
    for name, value in (("user_id", user_id), ("session_id", session_id)):
        # `details` does not repeat a column.
        if value is None or value in {actor_id, asking} or str(value) == target_id:
            fields.pop(name, None)
    details = orjson.dumps(redact_fields(fields), option=orjson.OPT_SORT_KEYS).decode()
    return {
        "created_at": event_record.created_at,
        "action": event_record.action,
        "outcome": event_record.outcome,
        "actor_id": actor_id,
        "session_id": asking,
        "target_type": target_type,
        "target_id": target_id,
        "ip": origin.ip and redact_text(origin.ip)[:45],
        "user_agent": origin.user_agent and redact_text(origin.user_agent, 270),  # and the mark of what was cut
        "request_id": origin.request_id,
        "details": details if len(details) <= _LONGEST_DETAILS else f'{{"cut":"{len(details)} characters"}}',
    }


def _target(event: SecurityEvent, fields: Mapping[str, object]) -> tuple[str | None, str | None]:
    if fields.get("target_id") is not None:
        kind = redact_text(str(fields.get("target_type") or "user"))[:20]
        return kind, redact_text(str(fields["target_id"]))[:48]
    for kind, is_target in (("session", event.on_session), ("user", event.user_is is SUBJECT)):
        target = _id(fields.get(f"{kind}_id"))
        if is_target and target is not None:
            return kind, str(target)
    return None, None


def _id(value: object) -> UUID | None:
    return value if isinstance(value, UUID) else None


class _Tail(NamedTuple):
    """What a writer goes on from: the last place of its shard, the newest row of all, and the numbers of its rows."""

    last: int
    newest: int
    newest_digest: bytes | None
    numbers: Sequence[int]


def unavailable() -> Unavailable:
    """Return the error for an event that cannot be recorded: what has no record is not done."""
    return Unavailable("The audit trail cannot be written.", retry_after=5)


class Appender:
    """Adds events to the trail, on the connection of a transaction, without awaiting each statement.

    With `follow`, it uses the key of the row before, if that is known: processes without a newer key can go on from it.
    `shards` is how many it writes to.
    """

    def __init__(self, keys: KeyRing, *, follow: bool = False, shards: int = SHARDS) -> None:
        self._chain = ChainKeys(keys)
        self._follow = follow
        self._shards = shards
        self._turns = itertools.count(os.getpid())

    def __call__(self, connection: Connection, event_records: Sequence[EventRecord]) -> int:
        """Add the events, in order, and a mark if one is due; return the number of rows. Raises `Unavailable`."""
        return self._append(connection, [entry_of(event_record) for event_record in event_records])

    def mark(self, connection: Connection, event: SecurityEvent, **details: str | int) -> None:
        """Add a row about the trail itself; raises `Unavailable`."""
        self._append(connection, [_mark(event, "success", **details)])

    def confirm(self, connection: Connection) -> int:
        """Have the current key confirm every shard that an earlier one did; return how many. Raises `Unavailable`."""
        return sum(self._append(connection, [], shard) for shard in range(1, SHARDS + 1))

    def _append(self, connection: Connection, entries: list[Entry], shard: int = 0) -> int:
        try:
            return self._append_rows(connection, entries, shard)
        except DBAPIError as error:
            _log.error("audit_unwritable", error=type(error).__name__, exc_info=error)
            raise unavailable() from error

    def _append_rows(self, connection: Connection, entries: list[Entry], shard: int) -> int:
        shard, head, tail = self._lock_end(connection, len(entries), shard)
        chain = self._chain.following(head) if self._follow else self._chain
        marks = _marks(chain, head, tail.last)
        entries, numbers = [*marks, *entries], tail.numbers
        if not entries:
            return 0
        before = End(max(head.place, tail.last), head.digest) if head else End(tail.last)
        if connection.dialect.name == "sqlite":
            numbers = range(before.place + 1, before.place + 1 + len(entries))
        else:
            if marks:
                numbers = [*numbers, *_tail(connection, shard, len(marks)).numbers]
            entries = _placed(entries, shard, before, tail)
        rows = _rows(chain, entries, numbers, before)
        after = chain.head(before.place + len(rows), rows[-1]["digest"])._asdict()
        if head and len(rows) == 1 and connection.dialect.name == "postgresql":
            moved = {f"head_{name}": value for name, value in {"id": shard, **after}.items()}
            connection.execute(_ADD_AND_MOVE_HEAD, {**rows[0], **moved})
        else:
            # With its nulls: the same statement for every row, so that each takes the same time.
            connection.execute(_ADD, rows)
            connection.execute(_MOVE_HEAD if head else _START_HEAD, {"shard": shard, **after})
        if numbers[-1] // _GROWTH_STEP > (numbers[0] - 1) // _GROWTH_STEP:
            _log.warning("audit_trail_grew", rows=numbers[-1], hint="manage audit archive")
        return len(entries)

    def _lock_end(self, connection: Connection, count: int, shard: int) -> tuple[int, Head | None, _Tail]:
        """Lock the head of a shard, or of the one that is given; return what the writer goes on from.

        SQLite has one writer, so one shard, and reads all in one statement. On PostgreSQL, a statement sees the rows of
        before the lock, so a second one reads the last row: it sees what the writer before has committed.
        """
        if connection.dialect.name == "sqlite":
            row = connection.execute(_HEAD_AND_LAST, {"shard": 1}).one_or_none()
            last = row[-1] if row else connection.scalar(select(func.max(_events.c.sequence)))
            return 1, Head(*row[1:-1]) if row else None, _Tail(last or 0, last or 0, None, ())
        free = {"shards": self._shards, "current": self._chain.current_id}
        row = None if shard else connection.execute(_FREE_HEAD, free).one_or_none()
        if row is None:
            # All are taken: wait for the next in turn.
            shard = shard or next(self._turns) % self._shards + 1
            row = connection.execute(_HEAD, {"shard": shard}).one_or_none()
        shard = row.id if row else shard
        tail = _tail(connection, shard, count)
        if tail.numbers and tail.numbers[0] <= tail.newest:
            # Somebody added a row by hand, or restored the rows without the sequence.
            connection.exec_driver_sql("SELECT setval('audit_events_number', max(sequence)) FROM audit_events")
            tail = _tail(connection, shard, count)
        return shard, Head(*row[1:]) if row else None, tail


def lock_heads(connection: Connection) -> None:
    """Lock every head, so that no other process writes to the trail.

    PostgreSQL locks the rows; SQLite has locked the file before the first statement.
    """
    connection.execute(_HEADS.order_by(_heads.c.id))


def _tail(connection: Connection, shard: int, count: int) -> _Tail:
    last, newest, newest_digest, numbers = connection.execute(_TAIL, {"shard": shard, "count": count}).one()
    return _Tail(last or 0, newest or 0, newest_digest, sorted(numbers))


def _rows(chain: ChainKeys, entries: list[Entry], numbers: Sequence[int], before: End) -> list[Entry]:
    rows, digest = [], before.digest
    for sequence, entry in zip(numbers, entries, strict=True):
        row = {**entry, "sequence": sequence, "key_id": chain.current_id}
        digest = digest_of(digest, row)
        rows.append({**row, "digest": digest, "mac": chain.row_mac(digest)})
    return rows


def _placed(entries: list[Entry], shard: int, before: End, tail: _Tail) -> list[Entry]:
    """Return the entries with their places; the first one names the newest row, if that is of another shard."""
    nothing = {"seen": None, "seen_digest": None}
    placed = [{**row, "shard": shard, "place": place, **nothing} for place, row in enumerate(entries, before.place + 1)]
    if tail.newest_digest not in {None, before.digest}:
        placed[0] |= {"seen": tail.newest, "seen_digest": tail.newest_digest}
    return placed


def _marks(chain: ChainKeys, head: Head | None, last: int) -> list[Entry]:
    """Return the row that goes before, if the shard ended otherwise than under the current key."""
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
    if head.place != last:
        return "rows are missing at the end" if head.place > last else "rows were added at the end"
    if chain.knows(head.key_id) and not chain.confirms_head(head):
        return "the head was changed"
    return None


def _mark(event: SecurityEvent, outcome: Outcome, **details: str | int) -> Entry:
    event_record = EventRecord(event, outcome, details, utc_now(), RequestOrigin())
    emit_recorded(event_record)
    # Not redacted: a MAC has the shape of a secret, and is none.
    return {**entry_of(event_record), "details": orjson.dumps(details).decode()}
