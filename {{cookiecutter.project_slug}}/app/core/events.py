"""Security events: what happened to accounts, sessions and rights, under names that do not change (ASVS 16.3).

They are logged at every `LOG_LEVEL`, and each is a row of the audit trail (`docs/logging.md`).

An event that is emitted inside of `database.transaction()` is recorded by its commit. A rollback drops the events of
what succeeded, and passes on refusals. Any other event goes to the sink of its context at once: in a request, to
`app/http/middleware/audit.py`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Literal, Protocol, get_args
from uuid import UUID

import structlog
from pydantic import WithJsonSchema

from app.core.clock import utc_now
from app.core.errors import Unprocessable
from app.core.schemas import TextWithMore


class UserIs(Enum):
    """What the field `user_id` of an event says."""

    ACTOR = "who did it"
    SUBJECT = "whom it happened to"
    NOBODY = ""


ACTOR, SUBJECT, NOBODY = UserIs
ON_SESSION = True


class SecurityEvent(TextWithMore):
    """An event that monitoring relies on: a name may be added, but never changed.

    A feature declares its own in a subclass. Each member is its name, and, if an event has them, what `user_id` is, and
    `ON_SESSION` if `session_id` is what it was done to. The docs say when it happens, and which fields it has.
    """

    def __init__(self, _: str, user_is: UserIs = NOBODY, on_session: bool = False) -> None:
        self.user_is, self.on_session = user_is, on_session


class UpkeepEvent(SecurityEvent):
    """Security events of the commands that look after the database and the secret key."""

    BACKUP_MADE = "backup_made"
    DATABASE_RESTORED = "database_restored"
    KEY_ROTATED = "key_rotated"
    KEYS_RETIRED = "keys_retired"
    ROWS_PURGED = "rows_purged"


EventName = Annotated[str, WithJsonSchema({"$ref": "#/components/schemas/SecurityEvent"})]
"""The name of an event, in a request. The description of the API has all of them in one place."""


class EventCatalog:
    """Every event that this service can emit."""

    def __init__(self, events: Iterable[SecurityEvent]) -> None:
        self.events = tuple(sorted(events))

    def require(self, name: str | None, *location: str) -> None:
        """Raise `Unprocessable` if a name that was sent at this `location` is not that of an event; None is no name."""
        if name is not None and name not in self.events:
            error = {"location": [*location], "reason": "There is no such event."}
            raise Unprocessable("The request breaks a rule; see errors.", errors=[error])


Outcome = Literal["success", "failure", "denied"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """Where an event comes from: empty for a command or a background task; the principal if it is known by then."""

    request_id: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    actor_id: UUID | None = None
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event that happened."""

    action: SecurityEvent
    outcome: Outcome
    fields: Mapping[str, object]
    created_at: datetime
    origin: RequestOrigin


class Sink(Protocol):
    """Collects the events of a context for the audit trail."""

    def origin(self) -> RequestOrigin:
        """Return where an event of this moment comes from."""

    def append(self, event_record: EventRecord) -> None:
        """Add an event; must not raise."""


class PendingEvents:
    """The events of an open transaction: those to be recorded at its commit, and those that it recorded itself."""

    def __init__(self) -> None:
        self.event_records: list[EventRecord] = []
        self.recorded: list[EventRecord] = []
        self.committed = False
        self.ended = False

    def end(self) -> None:
        """Log what was committed; after a rollback, pass on the refusals."""
        self.ended = True
        if self.committed:
            for event_record in (*self.recorded, *self.event_records):
                _log_line(event_record)
            return
        for event_record in self.event_records:
            if event_record.outcome != "success":
                _pass_on(event_record)


_sink: ContextVar[Sink | None] = ContextVar("event_sink", default=None)
_pending: ContextVar[PendingEvents | None] = ContextVar("pending_events", default=None)

observers: list[Callable[[EventRecord], None]] = []
"""Called for every event of this process when it has happened; must not raise."""

# Not the level of the settings: a quiet log still tells of attacks (ASVS 16.3.1).
_log = structlog.wrap_logger(
    None, wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET), logger_factory_args=("security",)
)


def emit_event(event: SecurityEvent, *, outcome: Outcome, **fields: object) -> None:
    """Emit a security event: the log gets a line, the audit trail a row.

    `fields` identify by id (`user_id`, `session_id`, `target_id` with a `target_type` unless it is a user), never by a
    name, an address or a secret. An event that is emitted in a transaction is committed with it.
    """
    sink = _sink.get()
    event_record = EventRecord(event, outcome, fields, utc_now(), sink.origin() if sink else RequestOrigin())
    pending = _pending_events()
    if pending is not None:
        pending.event_records.append(event_record)
    else:
        _pass_on(event_record)


def emit_recorded(event_record: EventRecord) -> None:
    """Log an event after the commit of the transaction that has recorded it already."""
    pending = _pending_events()
    if pending is not None:
        pending.recorded.append(event_record)


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
def collect_events() -> Iterator[PendingEvents]:
    """Collect the events of a transaction until it ends. The committer records them in it and sets `committed`."""
    before, pending = _pending.get(), PendingEvents()
    _pending.set(pending)
    try:
        yield pending
    finally:
        pending.end()
        _pending.set(before)


def _pending_events() -> PendingEvents | None:
    """Return the pending events of this context. A task that outlives its transaction has none."""
    pending = _pending.get()
    return None if pending is None or pending.ended else pending


def _log_line(event_record: EventRecord) -> None:
    write = _log.info if event_record.outcome == "success" else _log.warning
    write(event_record.action.value, outcome=event_record.outcome, **event_record.fields)
    for observer in observers:
        observer(event_record)


def _pass_on(event_record: EventRecord) -> None:
    _log_line(event_record)
    sink = _sink.get()
    if sink is not None:
        sink.append(event_record)
