"""How a security event travels: to the log, and to whoever keeps the audit trail.

An event that is told inside of `database.transaction()` waits for the end of the unit. Where the unit commits, the
event was committed with it; where it is rolled back, what succeeded did not happen and is not told, what was refused
is. All other events go to the sink of their context at once: in a request, the middleware of `app/http/audit.py`.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import structlog

from app.core.clock import utc_now

Outcome = Literal["success", "failure", "denied"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event comes from: empty for a command or a task of the background.

    `actor_id` and `session_id` are those of the principal of the request, where there is one by then.
    """

    request_id: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    actor_id: UUID | None = None
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event that happened."""

    action: str
    outcome: Outcome
    fields: Mapping[str, object]
    created_at: datetime
    origin: Origin


class Sink(Protocol):
    """Takes the events of a context to the audit trail."""

    def origin(self) -> Origin:
        """Where an event of this moment comes from."""

    def take(self, occurrence: Occurrence) -> None:
        """Take an event; must not raise."""


class Held:
    """The events of a unit that has not ended: those to be recorded in it, and those that it has recorded itself."""

    def __init__(self) -> None:
        self.occurrences: list[Occurrence] = []
        self.recorded: list[Occurrence] = []
        self.committed = False
        self.ended = False

    def forget(self) -> None:
        """Begin anew: what was done is rolled back, and done once more."""
        self.occurrences.clear()
        self.recorded.clear()

    def end(self) -> None:
        """Log what was committed; of what was rolled back, pass on what was refused."""
        self.ended = True
        for occurrence in (*self.recorded, *self.occurrences) if self.committed else ():
            _log_line(occurrence)
        for occurrence in () if self.committed else self.occurrences:
            if occurrence.outcome != "success":
                _pass_on(occurrence)


_sink: ContextVar[Sink | None] = ContextVar("event_sink", default=None)
_held: ContextVar[Held | None] = ContextVar("held_events", default=None)

# Not the level of the settings: a quiet log still tells of attacks (ASVS 16.3.1).
_log = structlog.wrap_logger(
    None,
    wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
    logger_factory_args=("security",),
)


def tell(action: str, outcome: Outcome, fields: Mapping[str, object]) -> None:
    """Take an event on its way."""
    sink = _sink.get()
    occurrence = Occurrence(action, outcome, fields, utc_now(), sink.origin() if sink else Origin())
    held = _open_unit()
    if held is not None:
        held.occurrences.append(occurrence)
    else:
        _pass_on(occurrence)


def tell_recorded(occurrence: Occurrence) -> None:
    """Log an event that its unit has recorded already, once the unit commits."""
    held = _open_unit()
    if held is not None:
        held.recorded.append(occurrence)


@contextmanager
def events_to(sink: Sink) -> Iterator[None]:
    """Send the events of this block, and of the tasks it starts, to the sink."""
    before = _sink.get()
    _sink.set(sink)
    try:
        yield
    finally:
        # No token: a block may be left in another context than it was entered in.
        _sink.set(before)


@contextmanager
def hold_events() -> Iterator[Held]:
    """Hold the events of a unit until it ends. Whoever commits it records them in it, and sets `committed`."""
    before, held = _held.get(), Held()
    _held.set(held)
    try:
        yield held
    finally:
        held.end()
        _held.set(before)


def _open_unit() -> Held | None:
    """The unit of this context. A task that it started may outlive it."""
    held = _held.get()
    return None if held is None or held.ended else held


def _log_line(occurrence: Occurrence) -> None:
    """Write the line: at `info` when it succeeded, at `warning` when it failed or was denied."""
    write = _log.info if occurrence.outcome == "success" else _log.warning
    write(occurrence.action, outcome=occurrence.outcome, **occurrence.fields)


def _pass_on(occurrence: Occurrence) -> None:
    _log_line(occurrence)
    sink = _sink.get()
    if sink is not None:
        sink.take(occurrence)
