"""The answer waits for its events, and gives way to a 503 where they cannot be recorded."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.guard import AccessEvent
from app.core.errors import Unavailable
from app.core.events import EventRecord, emit_event
from app.core.services import Services, services_of
from app.http.middleware import audit
from app.http.middleware.audit import AuditMiddleware
from tests.support.http.asgi import Recorder, call, http_scope

pytestmark = pytest.mark.anyio

START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"access-control-allow-origin", b"https://app.example"), (b"x-secret", b"canary")],
}


class Ledger:
    """Keeps what is recorded, or refuses to."""

    def __init__(self, *, broken: bool = False) -> None:
        self.rows: list[EventRecord] = []
        self.broken = broken

    async def record(self, event_records: Sequence[EventRecord]) -> None:
        """Record, after some time."""
        await asyncio.sleep(0)
        if self.broken:
            message = "The audit trail cannot be written."
            raise Unavailable(message, retry_after=5)
        self.rows += event_records


class Route:
    """Tells of events before its answer, in the midst of it and after it."""

    def __init__(self, *moments: str) -> None:
        self.moments = moments
        self.rows_at_start = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        self._tell("before")
        await send(START)
        self.rows_at_start = len(services_of(scope["app"])[Ledger].rows)
        self._tell("between")
        await send({"type": "http.response.body", "body": b"canary", "more_body": True})
        await send({"type": "http.response.body", "body": b"canary"})
        self._tell("after")

    def _tell(self, moment: str) -> None:
        if moment in self.moments:
            emit_event(AccessEvent.ACCESS_DENIED, outcome="denied", moment=moment)


def scope_for(ledger: Ledger, **changes: Any) -> Scope:
    """A request to an application with that ledger."""
    app = FastAPI()
    app.state.services = services = Services()
    services.add(ledger)
    services.add(audit.Recorder(ledger.record))
    headers = [("host", "service.example"), ("user-agent", "Caller/1.0")]
    return http_scope(headers=headers, app=app, **changes)


async def test_the_answer_waits_for_what_was_told_before_it() -> None:
    """It is on record when the first byte goes out; what comes later follows."""
    ledger, route = Ledger(), Route("before", "between", "after")
    answer = await call(AuditMiddleware(route), scope_for(ledger))
    assert (answer.status, answer.body) == (200, b"canarycanary")
    assert route.rows_at_start == 1
    assert [row.fields["moment"] for row in ledger.rows] == ["before", "between", "after"]
    assert {(row.origin.ip, row.origin.user_agent) for row in ledger.rows} == {("203.0.113.7", "Caller/1.0")}


@pytest.mark.asvs("16.5.3")
async def test_an_answer_that_cannot_be_accounted_for_is_replaced() -> None:
    """503, nothing of the first answer but what lets a page read this one."""
    answer = await call(AuditMiddleware(Route("before")), scope_for(Ledger(broken=True)))
    assert answer.status == 503
    assert b"canary" not in answer.body
    assert answer.complete
    assert (answer.header("retry-after"), answer.header("x-secret")) == ("5", None)
    assert answer.header("access-control-allow-origin") == "https://app.example"


async def test_an_answer_that_has_begun_goes_on() -> None:
    """It cannot be taken back."""
    answer = await call(AuditMiddleware(Route("between")), scope_for(Ledger(broken=True)))
    assert (answer.status, answer.body, answer.complete) == (200, b"canarycanary", True)


async def test_a_request_without_events_asks_nobody() -> None:
    """Not even for the recorder."""
    answer = await call(AuditMiddleware(Recorder()), http_scope())
    assert answer.status == 200


async def test_what_a_crash_told_is_recorded() -> None:
    """The error goes on to whoever answers it."""
    ledger = Ledger()

    async def crash(scope: Scope, receive: Receive, send: Send) -> None:
        emit_event(AccessEvent.ACCESS_DENIED, outcome="denied")
        raise RuntimeError

    app: ASGIApp = AuditMiddleware(crash)
    with pytest.raises(RuntimeError):
        await call(app, scope_for(ledger))
    assert len(ledger.rows) == 1


async def test_leaves_other_protocols_alone() -> None:
    """A lifespan is no request."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await AuditMiddleware(app)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
