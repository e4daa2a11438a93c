"""Bursts: a refusal costs the sender nothing, and must not fill the disk.

Of equal refusals to one client, the first is a row at once. Those that follow are counted; each window that had some
ends with one row that holds their count. The first window is a minute, and each further one twice as long, up to 16
minutes; a window without a refusal ends the burst. So a client that never stops adds about a hundred rows a day of each
kind. A `failure` is always a row: it records that a password or secret was tried, and has its own limit.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from app.core.events import EventRecord
from app.core.limits.limiter import subscriber

WINDOW_SECONDS = 60.0

_MOST_BURSTS = 1024
_LONGEST_WINDOWS = 16


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
        """Whether the event is to be a row of its own; otherwise it has been counted."""
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
