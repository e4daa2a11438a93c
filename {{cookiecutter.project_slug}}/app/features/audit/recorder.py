"""Recording what no transaction carries: refusals, failures, and whatever happens outside of a transaction.

Group commit: one task takes everything that waits into one transaction, while the next ones gather behind it. A request
waits for its own events before its answer goes out. The queue is bounded; beyond it the answer is 503.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context

import structlog
from sqlalchemy import Connection

from app.core.database.database import Database, RecordEvents
from app.core.errors import Problem
from app.core.events.flow import EventRecord, RequestOrigin
from app.features.audit.append import unavailable
from app.features.audit.bursts import WINDOW_SECONDS, Bursts

LONGEST_QUEUE = 2000

_MOST_AT_ONCE = 500
_WRITE_SECONDS = 5
_WAIT_SECONDS = 5

_log = structlog.get_logger("app")

_Waiting = tuple[Sequence[EventRecord], "asyncio.Future[None] | None"]


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
        """Return when the events are committed; raises `Unavailable` where they are not."""
        firsts = [event_record for event_record in event_records if self._bursts.is_first(event_record)]
        if not firsts:
            return
        try:
            if self._queued >= LONGEST_QUEUE:
                _log.error("audit_queue_full", waiting=self._queued)
                raise unavailable()
            written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._enqueue(firsts, written)
            # Nobody waits for a transaction that is stuck, and then for their own.
            waiting = asyncio.get_running_loop().call_later(_WAIT_SECONDS, _give_up, written)
            try:
                await written
            finally:
                waiting.cancel()
        except Problem:
            self._forget(firsts)
            raise

    def record_within(self, connection: Connection, event_records: Sequence[EventRecord]) -> None:
        """Record the events of a transaction in it; raises `Unavailable`, which rolls it back."""
        firsts = [event_record for event_record in event_records if self._bursts.is_first(event_record)]
        if not firsts:
            return
        try:
            self._append(connection, firsts)
        except Problem:
            self._forget(firsts)
            raise

    def _forget(self, firsts: Sequence[EventRecord]) -> None:
        for event_record in firsts:
            self._bursts.forget(event_record)

    def origin(self) -> RequestOrigin:
        """Nowhere: what comes here itself is not of a request."""
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
        self._queue.append((event_records, written))
        self._queued += len(event_records)
        if self._writer is None or self._writer.done():
            # In no context: it writes for everybody, and must not log under the name of one request.
            self._writer = asyncio.get_running_loop().create_task(self._write_all(), context=Context())

    async def _write_all(self) -> None:
        while self._queue:
            batch = self._next_batch()
            failed = True
            try:
                failed = not await self._write(
                    [event_record for event_records, _ in batch for event_record in event_records]
                )
            finally:
                # Also where this task is cancelled: nobody waits for what will not come.
                for event_records, written in batch:
                    self._settle(event_records, written, failed=failed)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and size < _MOST_AT_ONCE:
            batch.append(self._queue.popleft())
            size += len(batch[-1][0])
        self._queued -= size
        return batch

    async def _write(self, event_records: Sequence[EventRecord]) -> bool:
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._database.record(lambda connection: self._append(connection, event_records))
        except Problem:
            return False
        except Exception as error:  # noqa: BLE001  # whatever it is: the events are not on record
            _log.error("audit_unwritable", error=type(error).__name__, exc_info=error)
            return False
        return True

    def _settle(
        self, event_records: Sequence[EventRecord], written: "asyncio.Future[None] | None", *, failed: bool
    ) -> None:
        if written is None or written.cancelled():
            if failed:
                self._lose(len(event_records), "the database does not take them")
        elif failed:
            _give_up(written)
        elif not written.done():
            written.set_result(None)

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        _log.error("audit_events_lost", count=count, reason=reason)


def _give_up(written: "asyncio.Future[None]") -> None:
    """Have the answer be 503, unless somebody has done so before."""
    if not written.done():
        written.set_exception(unavailable())
