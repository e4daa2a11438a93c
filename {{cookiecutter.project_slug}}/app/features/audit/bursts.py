"""Bursts: what is refused before anybody is asked who they are costs the sender nothing, and must not fill the disk.

Of the same refusal of the same client, the first is a row at once; those of the next minute are counted, and become one
row with the count when the minute is over.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.core.event_flow import Occurrence
from app.core.security_events import SecurityEvent

WINDOW_SECONDS = 60.0

_MOST_BURSTS = 1024
_CHEAP = frozenset({SecurityEvent.CROSS_ORIGIN_REFUSED, SecurityEvent.HOST_REFUSED, SecurityEvent.RATE_LIMITED})


class _Kind(NamedTuple):
    action: str
    ip: str | None


@dataclass(slots=True)
class _Burst:
    timer: asyncio.TimerHandle
    count: int = 0
    last: Occurrence | None = None


class Bursts:
    """Counts; hands each burst that is over, and had more than its first event, to `done`."""

    def __init__(self, done: Callable[[Occurrence], None], seconds: float = WINDOW_SECONDS) -> None:
        self._done = done
        self._seconds = seconds
        self._bursts: dict[_Kind, _Burst] = {}

    def is_first(self, occurrence: Occurrence) -> bool:
        """Whether the event is to be a row of its own; otherwise it has been counted."""
        if occurrence.action not in _CHEAP:
            return True
        kind = _kind(occurrence)
        if kind not in self._bursts and len(self._bursts) >= _MOST_BURSTS:
            # Too many clients at once to count each.
            kind = _Kind(occurrence.action, None)
        burst = self._bursts.get(kind)
        if burst is None:
            timer = asyncio.get_running_loop().call_later(self._seconds, self._end, kind)
            self._bursts[kind] = _Burst(timer)
            return True
        burst.count += 1
        burst.last = occurrence
        return False

    def forget(self, occurrence: Occurrence) -> None:
        """Begin anew: the first event of the burst could not be written."""
        kind = _kind(occurrence)
        if kind in self._bursts:
            self._end(kind)

    def end_all(self) -> None:
        """Wait for no minute to be over."""
        for kind in list(self._bursts):
            self._end(kind)

    def _end(self, kind: _Kind) -> None:
        burst = self._bursts.pop(kind)
        burst.timer.cancel()
        if burst.last is not None:
            origin = replace(burst.last.origin, ip=kind.ip, request_id=None)
            self._done(replace(burst.last, fields={**burst.last.fields, "count": burst.count}, origin=origin))


def _kind(occurrence: Occurrence) -> _Kind:
    return _Kind(occurrence.action, occurrence.origin.ip)
