"""Recording events of no transaction: refusals, failures, and whatever happens outside of a transaction.

Group commit: one task writes everything that waits in one transaction, while the next events queue behind it. A request
waits for its own events before its answer goes out. The queue is bounded; beyond it the answer is 503.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from app.core.database.database import Database, RecordEvents
from app.core.errors import Problem
from app.core.events import EventRecord, RequestOrigin
from app.features.audit.trail.append import unavailable
from app.features.audit.trail.bursts import WINDOW_SECONDS, Bursts

LONGEST_QUEUE = 2000

_MOST_AT_ONCE = 500
_WRITE_SECONDS = 5
_WAIT_SECONDS = 5
# For events that no request waits for: a lock that is held for some seconds loses none of them.
_MOST_ATTEMPTS = 3

_log = structlog.get_logger("app")


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
            failed, cancelled = True, True
            try:
                failed = not await self._write(event_records)
                cancelled = False
            finally:
                # Also if this task is cancelled, so that no request waits for ever.
                for waiting in batch:
                    self._settle(waiting, failed=failed, again=not cancelled)

    async def _write(self, event_records: Sequence[EventRecord]) -> bool:
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._database.record(lambda connection: self._append(connection, event_records))
        except Problem:
            return False
        except Exception as error:  # noqa: BLE001  # any error means that the events are not on record
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
