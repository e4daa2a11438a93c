"""The audit trail of a request: its events are on record before its answer goes out, or the answer is 503.

Whatever cannot be accounted for is not answered. That holds for refusals too: somebody who fills the disk, or stops the
database, cannot try passwords unseen (ASVS 16.3).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import Problem, send_problem
from app.core.events.flow import EventRecord, RequestOrigin, events_to
from app.core.services import services_of
from app.http.request.proxies import client_ip_of
from app.http.request.request_id import request_id_of

# What lets a page of a listed origin read the 503 that takes the place of an answer.
_CORS_PREFIXES = (b"access-control-", b"cross-origin-resource-policy")

_log = structlog.get_logger("app")


@dataclass(frozen=True)
class Recorder:
    """Keeps the trail: `record` returns when the events are committed, and raises a `Problem` if they are not."""

    record: Callable[[Sequence[EventRecord]], Awaitable[None]]


class _RequestEvents:
    """The events of one request that no transaction has recorded."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.waiting: list[EventRecord] = []

    def origin(self) -> RequestOrigin:
        """The client that is believed, and the principal as soon as there is one."""
        principal: Any = self._scope.get("state", {}).get("principal")
        return RequestOrigin(
            request_id=request_id_of(self._scope),
            ip=client_ip_of(self._scope),
            user_agent=_user_agent(self._scope),
            actor_id=principal and principal.user_id,
            session_id=principal and principal.session_id,
        )

    def append(self, event_record: EventRecord) -> None:
        self.waiting.append(event_record)

    async def record(self) -> None:
        """Record what waits."""
        if self.waiting:
            told, self.waiting = self.waiting, []
            await services_of(self._scope["app"])[Recorder].record(told)


class AuditMiddleware:
    """Holds the answer back until the events of the request are on record."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and account for it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        events = _RequestEvents(scope)
        replaced = False

        async def send_accounted(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start":
                try:
                    await events.record()
                except Problem as problem:
                    replaced = True
                    problem.headers |= _cors_headers(message)
                    await send_problem(problem, scope, receive, send)
            # The rest of an answer that was replaced goes nowhere.
            if not replaced:
                await send(message)

        try:
            with events_to(events):
                await self.app(scope, receive, send_accounted)
        finally:
            await _record_rest(events)


async def _record_rest(events: _RequestEvents) -> None:
    """Record what was told after the answer began, or on the way out of a crash."""
    try:
        await events.record()
    except Problem:
        _log.error("audit_unavailable", detail="the answer had begun")


def _user_agent(scope: Scope) -> str | None:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"]
    return values[0] if values else None


def _cors_headers(start: Message) -> dict[str, str]:
    headers = [(name.lower(), value) for name, value in start.get("headers", ())]
    return {name.decode(): value.decode("latin-1") for name, value in headers if name.startswith(_CORS_PREFIXES)}
