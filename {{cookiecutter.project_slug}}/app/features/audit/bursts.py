"""Bursts: what is denied costs the sender nothing, and must not fill the disk.

Of equal refusals to one client, the first is a row at once. Those that follow are counted; each window that had some
ends with one row that holds their count. The first window is a minute, and each further one twice as long, up to 16
minutes; a window without a refusal ends the burst. So a client that never stops adds about a hundred rows a day of each
kind. A `failure` is always a row: it tells of a password or secret that was tried, and has a limit of its own.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from app.core.event_flow import Occurrence
from app.core.limiter import subscriber

WINDOW_SECONDS = 60.0

_MOST_BURSTS = 1024
_LONGEST_WINDOWS = 16


class _Kind(NamedTuple):
    action: str
    client: str | None = None
    actor_id: UUID | None = None
    # Names and ids: whom it happened to, and why. Numbers differ each time.
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Burst:
    timer: asyncio.TimerHandle
    seconds: float
    count: int = 0
    last: Occurrence | None = None


class Bursts:
    """Counts; hands the count of each window that had more than the first refusal to `done`."""

    def __init__(self, done: Callable[[Occurrence], None], seconds: float = WINDOW_SECONDS) -> None:
        self._done = done
        self._seconds = seconds
        self._bursts: dict[_Kind, _Burst] = {}

    def is_first(self, occurrence: Occurrence) -> bool:
        """Whether the event is to be a row of its own; otherwise it has been counted."""
        if occurrence.outcome != "denied" or occurrence.origin.ip is None:
            return True
        kind = self._kind(occurrence)
        burst = self._bursts.get(kind)
        if burst is None:
            self._begin(kind, self._seconds)
            return True
        burst.count += 1
        burst.last = occurrence
        return False

    def forget(self, occurrence: Occurrence) -> None:
        """End the burst: its first event could not be written."""
        kind = self._kind(occurrence)
        if kind in self._bursts:
            self._end(kind)

    def end_all(self) -> None:
        """End every burst now."""
        for kind in list(self._bursts):
            self._end(kind)

    def _kind(self, occurrence: Occurrence) -> _Kind:
        origin = occurrence.origin
        fields = tuple((name, str(value)) for name, value in occurrence.fields.items() if isinstance(value, str | UUID))
        kind = _Kind(occurrence.action, subscriber(origin.ip or ""), origin.actor_id, fields)
        if kind not in self._bursts and len(self._bursts) >= _MOST_BURSTS:
            # Too many clients at once to count each.
            return _Kind(occurrence.action)
        return kind

    def _begin(self, kind: _Kind, seconds: float) -> None:
        # In no context: it must not keep the request alive.
        timer = asyncio.get_running_loop().call_later(seconds, self._next_window, kind, context=Context())
        self._bursts[kind] = _Burst(timer, seconds)

    def _next_window(self, kind: _Kind) -> None:
        burst = self._end(kind)
        if burst.last is not None:
            self._begin(kind, min(2 * burst.seconds, _LONGEST_WINDOWS * self._seconds))

    def _end(self, kind: _Kind) -> _Burst:
        burst = self._bursts.pop(kind)
        burst.timer.cancel()
        if burst.last is not None:
            self._done(_summary(burst.last, burst.count, shared=kind.client is None))
        return burst


def _summary(last: Occurrence, count: int, *, shared: bool) -> Occurrence:
    """The last refusal with the count of all; of several clients, only what they have in common."""
    if not shared:
        return replace(last, fields={**last.fields, "count": count}, origin=replace(last.origin, request_id=None))
    origin = replace(last.origin, ip=None, user_agent=None, actor_id=None, session_id=None, request_id=None)
    return replace(last, fields={"count": count}, origin=origin)
