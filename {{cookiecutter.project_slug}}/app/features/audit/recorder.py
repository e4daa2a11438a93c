"""Recording what no transaction carries: refusals, failures, and whatever happens outside of a unit.

Group commit: one task takes everything that waits into one transaction, while the next ones gather behind it. A request
waits for its own events before its answer goes out. The queue is bounded; beyond it the answer is 503.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context

import structlog
from sqlalchemy import Connection

from app.core.database import Database, RecordEvents
from app.core.errors import Problem
from app.core.event_flow import Occurrence, Origin
from app.features.audit.append import unavailable
from app.features.audit.bursts import WINDOW_SECONDS, Bursts

LONGEST_QUEUE = 2000

_MOST_AT_ONCE = 500
_WRITE_SECONDS = 5
_WAIT_SECONDS = 5

_log = structlog.get_logger("app")

_Waiting = tuple[Sequence[Occurrence], "asyncio.Future[None] | None"]


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

    async def record(self, occurrences: Sequence[Occurrence]) -> None:
        """Return when the events are committed; raises `Unavailable` where they are not."""
        firsts = [occurrence for occurrence in occurrences if self._bursts.is_first(occurrence)]
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

    def record_within(self, connection: Connection, occurrences: Sequence[Occurrence]) -> None:
        """Record the events of a transaction in it; raises `Unavailable`, which rolls it back."""
        firsts = [occurrence for occurrence in occurrences if self._bursts.is_first(occurrence)]
        if not firsts:
            return
        try:
            self._append(connection, firsts)
        except Problem:
            self._forget(firsts)
            raise

    def _forget(self, firsts: Sequence[Occurrence]) -> None:
        for occurrence in firsts:
            self._bursts.forget(occurrence)

    def origin(self) -> Origin:
        """Nowhere: what comes here itself is not of a request."""
        return Origin()

    def take(self, occurrence: Occurrence) -> None:
        """Record an event that no request waits for."""
        if self._bursts.is_first(occurrence):
            self._enqueue_unawaited(occurrence)

    async def close(self) -> None:
        """Write all that waits."""
        self._bursts.end_all()
        while self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer])

    def _enqueue_unawaited(self, occurrence: Occurrence) -> None:
        if self._queued >= LONGEST_QUEUE:
            self._lose(1, "the queue is full")
        else:
            self._enqueue([occurrence], None)

    def _enqueue(self, occurrences: Sequence[Occurrence], written: "asyncio.Future[None] | None") -> None:
        self._queue.append((occurrences, written))
        self._queued += len(occurrences)
        if self._writer is None or self._writer.done():
            # In no context: it writes for everybody, and must not log under the name of one request.
            self._writer = asyncio.get_running_loop().create_task(self._write_all(), context=Context())

    async def _write_all(self) -> None:
        while self._queue:
            batch = self._next_batch()
            failed = True
            try:
                failed = not await self._write([occurrence for occurrences, _ in batch for occurrence in occurrences])
            finally:
                # Also where this task is cancelled: nobody waits for what will not come.
                for occurrences, written in batch:
                    self._settle(occurrences, written, failed=failed)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and size < _MOST_AT_ONCE:
            batch.append(self._queue.popleft())
            size += len(batch[-1][0])
        self._queued -= size
        return batch

    async def _write(self, occurrences: Sequence[Occurrence]) -> bool:
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._database.record(lambda connection: self._append(connection, occurrences))
        except Problem:
            return False
        except Exception as error:  # noqa: BLE001  # whatever it is: the events are not on record
            _log.error("audit_unwritable", error=type(error).__name__, exc_info=error)
            return False
        return True

    def _settle(
        self, occurrences: Sequence[Occurrence], written: "asyncio.Future[None] | None", *, failed: bool
    ) -> None:
        if written is None or written.cancelled():
            if failed:
                self._lose(len(occurrences), "the database does not take them")
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
