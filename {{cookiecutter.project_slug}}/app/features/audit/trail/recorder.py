"""Recording events of no transaction: refusals, failures, and whatever happens outside of a transaction.

Group commit: one task writes everything that waits in one transaction, while the next events queue behind it. A request
waits for its own events before its answer goes out. The queue is bounded; beyond it the answer is 503.

Bursts: a refusal costs the sender nothing, and must not fill the disk. Of equal refusals to one client, the first is a
row at once. Those that follow are counted; each window that had some ends with one row that holds their count. The
first window is a minute, and each further one twice as long, up to 16 minutes; a window without a refusal ends the
burst. So a client that never stops adds about a hundred rows a day of each kind. A `failure` is always a row: it
records that a password or secret was tried, and has its own limit.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import Connection

from app.core.database.database import Database, RecordEvents
from app.core.errors import Problem
from app.core.events import EventRecord, RequestOrigin
from app.core.limits import subscriber
from app.features.audit.trail.append import unavailable

WINDOW_SECONDS = 60.0

_MOST_BURSTS = 1024
_LONGEST_WINDOWS = 16
LONGEST_QUEUE = 2000
_MOST_AT_ONCE = 500
_WRITE_SECONDS = 5
_WAIT_SECONDS = 5
# For events that no request waits for: a lock that is held for some seconds loses none of them.
_MOST_ATTEMPTS = 3
_log = structlog.get_logger("app")


class _Kind(NamedTuple):
    action: str
    client: str | None = None
    actor_id: UUID | None = None
    # Texts and ids alone: numbers differ each time.
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Burst:
    timer: asyncio.TimerHandle
    seconds: float
    count: int = 0
    last: EventRecord | None = None


_Table = dict[_Kind, _Burst]


class Bursts:
    """Counts refusals; calls `done` with the count of each window that had more than the first."""

    def __init__(self, done: Callable[[EventRecord], None], seconds: float = WINDOW_SECONDS) -> None:
        self._done = done
        self._seconds = seconds
        # Two tables, so that a flood of anonymous clients hides no event of a user or a session.
        self._anonymous: _Table = {}
        self._known: _Table = {}

    def is_first(self, event_record: EventRecord) -> bool:
        """Return whether the event is to be a row of its own; otherwise it has been counted."""
        if event_record.outcome != "denied" or event_record.origin.ip is None:
            return True
        table, kind = self._find(event_record)
        burst = table.get(kind)
        if burst is None:
            self._begin(table, kind, self._seconds)
            return True
        burst.count += 1
        burst.last = event_record
        return False

    def forget(self, event_record: EventRecord) -> None:
        """End the burst: its first event could not be written."""
        table, kind = self._find(event_record)
        if kind in table:
            self._end(table, kind)

    def end_all(self) -> None:
        """End every burst now."""
        for table in (self._anonymous, self._known):
            for kind in list(table):
                self._end(table, kind)

    def _find(self, event_record: EventRecord) -> tuple[_Table, _Kind]:
        origin, given = event_record.origin, event_record.fields
        fields = tuple((name, str(value)) for name, value in given.items() if isinstance(value, str | UUID))
        kind = _Kind(event_record.action, subscriber(origin.ip or ""), origin.actor_id, fields)
        known = origin.actor_id is not None or any(isinstance(value, UUID) for value in given.values())
        table = self._known if known else self._anonymous
        if kind not in table and len(table) >= _MOST_BURSTS:
            # Too many bursts: all further ones of an action share a count.
            kind = _Kind(event_record.action)
        return table, kind

    def _begin(self, table: _Table, kind: _Kind, seconds: float) -> None:
        # In an empty context, which does not keep the request alive.
        timer = asyncio.get_running_loop().call_later(seconds, self._next_window, table, kind, context=Context())
        table[kind] = _Burst(timer, seconds)

    def _next_window(self, table: _Table, kind: _Kind) -> None:
        burst = self._end(table, kind)
        if burst.last is not None:
            self._begin(table, kind, min(2 * burst.seconds, _LONGEST_WINDOWS * self._seconds))

    def _end(self, table: _Table, kind: _Kind) -> _Burst:
        burst = table.pop(kind)
        burst.timer.cancel()
        if burst.last is not None:
            self._done(_summary(burst.last, burst.count, shared=kind.client is None))
        return burst


def _summary(last: EventRecord, count: int, *, shared: bool) -> EventRecord:
    """Return the last refusal with the count of all; of several clients, only what they have in common."""
    if not shared:
        return replace(last, fields={**last.fields, "count": count}, origin=replace(last.origin, request_id=None))
    origin = replace(last.origin, ip=None, user_agent=None, actor_id=None, session_id=None, request_id=None)
    return replace(last, fields={"count": count}, origin=origin)


class _Waiting(NamedTuple):
    event_records: Sequence[EventRecord]
    written: "asyncio.Future[None] | None"
    attempts: int = 1


class Recorder:
    """Writes events in the order in which they come, many in one transaction."""

    def __init__(self, database: Database, append: RecordEvents, burst_seconds: float = WINDOW_SECONDS) -> None:
        self._database = database
        self._append = append
        self._bursts = Bursts(self._enqueue_unawaited, burst_seconds)
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._writer: asyncio.Task[None] | None = None
        self.lost = 0

    async def record(self, event_records: Sequence[EventRecord]) -> None:
        """Return when the events are committed; raises `Unavailable` if they are not."""
        with self._firsts(event_records) as firsts:
            if not firsts:
                return
            if self._queued >= LONGEST_QUEUE:
                _log.error("audit_queue_full", waiting=self._queued)
                raise unavailable()
            loop = asyncio.get_running_loop()
            written: asyncio.Future[None] = loop.create_future()
            self._enqueue(firsts, written)
            # A request does not wait for a transaction that is stuck, and for its own after that.
            timer = loop.call_later(_WAIT_SECONDS, _give_up, written)
            try:
                await written
            finally:
                timer.cancel()

    def record_within(self, connection: Connection, event_records: Sequence[EventRecord]) -> None:
        """Record the events of a transaction in it; raises `Unavailable`, which rolls it back."""
        with self._firsts(event_records) as firsts:
            if firsts:
                self._append(connection, firsts)

    @contextmanager
    def _firsts(self, event_records: Sequence[EventRecord]) -> Iterator[Sequence[EventRecord]]:
        """Yield the events that are to be rows; if the block cannot write them, their bursts end."""
        firsts = [event_record for event_record in event_records if self._bursts.is_first(event_record)]
        try:
            yield firsts
        except Problem:
            for event_record in firsts:
                self._bursts.forget(event_record)
            raise

    def origin(self) -> RequestOrigin:
        """Return an empty origin: an event that is appended here belongs to no request."""
        return RequestOrigin()

    def append(self, event_record: EventRecord) -> None:
        """Record an event that no request waits for."""
        if self._bursts.is_first(event_record):
            self._enqueue_unawaited(event_record)

    async def close(self) -> None:
        """Write all that waits."""
        self._bursts.end_all()
        while self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer])

    def _enqueue_unawaited(self, event_record: EventRecord) -> None:
        if self._queued >= LONGEST_QUEUE:
            self._lose(1, "the queue is full")
        else:
            self._enqueue([event_record], None)

    def _enqueue(self, event_records: Sequence[EventRecord], written: "asyncio.Future[None] | None") -> None:
        self._queue.append(_Waiting(event_records, written))
        self._queued += len(event_records)
        if self._writer is None or self._writer.done():
            # In an empty context: it writes for all requests, and must not log under the name of one.
            self._writer = asyncio.get_running_loop().create_task(self._write_all(), context=Context())

    async def _write_all(self) -> None:
        while self._queue:
            batch: list[_Waiting] = []
            event_records: list[EventRecord] = []
            while self._queue and len(event_records) < _MOST_AT_ONCE:
                batch.append(self._queue.popleft())
                event_records += batch[-1].event_records
            self._queued -= len(event_records)
            written = None
            try:
                written = await self._write(event_records)
            finally:
                # Also if this task is cancelled, so that no request waits for ever.
                for waiting in batch:
                    self._settle(waiting, failed=not written, again=written is not None)

    async def _write(self, event_records: Sequence[EventRecord]) -> bool:
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._database.record(lambda connection: self._append(connection, event_records))
        except Problem:
            return False
        except Exception as error:
            _log.error("audit_unwritable", error=type(error).__name__, exc_info=error)
            return False
        return True

    def _settle(self, waiting: _Waiting, *, failed: bool, again: bool) -> None:
        event_records, written, attempts = waiting
        if written is None or written.cancelled():
            if failed and again and attempts < _MOST_ATTEMPTS:
                self._queue.append(_Waiting(event_records, None, attempts + 1))
                self._queued += len(event_records)
            elif failed:
                self._lose(len(event_records), "the database does not take them")
        elif failed:
            _give_up(written)
        elif not written.done():
            written.set_result(None)

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        _log.error("audit_events_lost", count=count, reason=reason)


def _give_up(written: "asyncio.Future[None]") -> None:
    """Have the answer be 503, unless the future is done."""
    if not written.done():
        written.set_exception(unavailable())
