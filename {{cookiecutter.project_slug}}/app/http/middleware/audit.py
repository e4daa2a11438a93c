"""The audit trail of a request: its events are committed before its answer, or it is a 503 (ASVS 16.3)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import Message, Receive, Scope, Send

from app.core.errors import Problem, send_problem
from app.core.events import EventRecord, RequestOrigin, events_to
from app.core.services import services_of
from app.http.request.base import HttpMiddleware, header_values
from app.http.request.proxies import client_ip_of

_log = structlog.get_logger("app")


@dataclass(frozen=True)
class Recorder:
    """Writes the trail: `record` returns when the events are committed, and raises a `Problem` if they are not."""

    record: Callable[[Sequence[EventRecord]], Awaitable[None]]


class _RequestEvents:
    """The events of a request that no transaction has recorded."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.waiting: list[EventRecord] = []

    def origin(self) -> RequestOrigin:
        state: dict[str, Any] = self._scope.get("state", {})
        principal = state.get("principal")
        return RequestOrigin(
            request_id=state.get("request_id"),
            ip=client_ip_of(self._scope),
            user_agent=next((value.decode("latin-1") for value in header_values(self._scope, b"user-agent")), None),
            actor_id=principal and principal.user_id,
            session_id=principal and principal.session_id,
        )

    def append(self, event_record: EventRecord) -> None:
        self.waiting.append(event_record)

    async def record(self) -> None:
        if self.waiting:
            events, self.waiting = self.waiting, []
            await services_of(self._scope["app"])[Recorder].record(events)


class AuditMiddleware(HttpMiddleware):
    """Delays the answer until the events of the request are committed."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        events = _RequestEvents(scope)
        replaced = False

        async def send_accounted(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start":
                try:
                    await events.record()
                except Problem as problem:
                    replaced = True
                    # With these, a page of a listed origin can read the 503 that replaces an answer.
                    shared = (b"access-control-", b"cross-origin-resource-policy")
                    for name, value in message.get("headers", ()):
                        if name.lower().startswith(shared):
                            problem.headers[name.lower().decode()] = value.decode("latin-1")
                    await send_problem(problem, scope, receive, send)
            if not replaced:
                await send(message)

        try:
            with events_to(events):
                await self.app(scope, receive, send_accounted)
        finally:
            # Events after the answer began, or of a crash.
            try:
                await events.record()
            except Problem:
                _log.error("audit_unavailable", detail="the answer had begun")
