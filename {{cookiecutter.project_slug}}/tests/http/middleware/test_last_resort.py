"""`app/http/middleware/last_resort.py`: crashes end in an answer that shows nothing, and in one log line."""

import json

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from app.core.errors import Problem, Unavailable
from app.http.middleware.last_resort import LastResortMiddleware
from tests.support.http.asgi import ResponseBody, call, http_scope

pytestmark = pytest.mark.anyio


async def answered(error: Exception, *, late: bool = False) -> tuple[ResponseBody, list[str]]:
    """The answer of an application that raises, and the names of what was logged."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        if late:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise error

    with capture_logs() as lines:
        answer = await call(LastResortMiddleware(app), http_scope(state={"request_id": "r1"}))
    return answer, [line["event"] for line in lines]


@pytest.mark.asvs("16.5.1", "13.4.2", "16.3.4")
async def test_a_crash_is_a_500_that_shows_nothing() -> None:
    """The client gets problem details with the request id and no word of the error; the log gets it once."""
    answer, events = await answered(RuntimeError("canary at /srv/app/secret.py"))
    body = json.loads(answer.body)
    assert (answer.status, answer.header("content-type")) == (500, "application/problem+json")
    assert (body["status"], body["request_id"]) == (500, "r1")
    assert b"canary" not in answer.body
    assert b"RuntimeError" not in answer.body
    assert events == ["unhandled_error"]


async def test_a_crash_in_the_middle_breaks_the_answer_off() -> None:
    """An answer that has begun is not completed, so that nobody takes the half for the whole."""
    answer, events = await answered(RuntimeError("canary"), late=True)
    assert (answer.status, answer.body, answer.complete) == (200, b"half", False)
    assert events == ["unhandled_error"]


@pytest.mark.asvs("16.5.3")
async def test_a_problem_of_a_middleware_is_answered() -> None:
    """Where a middleware cannot decide, its refusal is the answer."""
    answer, events = await answered(Unavailable("The counters do not answer.", retry_after=5))
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    assert events == []


async def test_a_problem_in_the_middle_is_not_answered_twice() -> None:
    """What has begun cannot begin again."""
    answer, _ = await answered(Problem("late"), late=True)
    assert (answer.status, answer.complete) == (200, False)


async def test_a_client_that_went_away_is_no_crash() -> None:
    """Nobody is there to answer, and nothing is wrong."""
    answer, events = await answered(ClientDisconnect())
    assert answer.status == 0
    assert events == ["client_disconnected"]
