"""`app/http/middleware/access_log.py`: one line per request, which tells what was asked and by whom, and no secret."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request

from app.http.middleware.access_log import AccessLogMiddleware
from app.http.request.allowed_methods import HeadMiddleware
from app.http.request.request_id import RequestIdMiddleware
from tests.support.http.asgi import Recorder, call, http_scope
from tests.support.records.logs import Log, captured_log, log_settings

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.2.1")]

LogOf = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged."""
    with captured_log(log_settings()) as log:
        yield log


@pytest.fixture
def log_of(log: Log) -> LogOf:
    """Ask a small application, and give the access line."""
    app = FastAPI(openapi_url=None)
    inner, outer = APIRouter(prefix="/things"), APIRouter(prefix="/api")

    @inner.get("/{thing_id}")
    async def thing(thing_id: str, request: Request) -> str:
        request.state.principal_id = "b7a1"
        return thing_id

    @app.get("/plain/{name}")
    async def plain(name: str) -> str:
        return name

    outer.include_router(inner)
    app.include_router(outer)
    app.add_middleware(HeadMiddleware)
    stack = RequestIdMiddleware(AccessLogMiddleware(app))

    async def ask(method: str, path: str) -> dict[str, Any]:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(stack), base_url="http://service") as client:
            await client.request(method, path)
        # The client of this test logs, too.
        (line,) = (line for line in log.lines if line["event"] == "request")
        return line

    return ask


async def test_tells_what_was_asked_and_by_whom(log_of: LogOf) -> None:
    """Method, route, status, duration, client, principal and request id are in the line."""
    line = await log_of("GET", "/api/things/42")
    assert line["method"] == "GET"
    assert line["route"] == "/api/things/{thing_id}"
    assert line["status"] == 200
    assert 0 <= line["duration_ms"] < 5000
    assert line["client"] == "127.0.0.1"
    assert line["principal_id"] == "b7a1"
    assert len(line["request_id"]) == 32


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/plain/x", "/plain/{name}", 200),
        ("HEAD", "/plain/x", "/plain/{name}", 200),
        ("HEAD", "/api/things/x", "/api/things/{thing_id}", 200),
        ("POST", "/plain/x", "/plain/{name}", 405),
        ("GET", "/nowhere", None, 404),
    ],
)
async def test_route_template(log_of: LogOf, method: str, path: str, route: str | None, status: int) -> None:
    """The template stands for the path, with the prefixes of its routers; a path without a route is not repeated."""
    line = await log_of(method, path)
    assert (line["method"], line["route"], line["status"]) == (method, route, status)


@pytest.mark.asvs("14.2.4", "16.2.5")
@pytest.mark.parametrize("path", ["/plain/canary", "/api/things/canary", "/plain/x?key=canary", "/reset/canary?canary"])
async def test_no_value_of_the_client(log_of: LogOf, path: str) -> None:
    """Neither path parameters nor queries nor unknown paths are in the line: they may hold secrets."""
    assert "canary" not in str(await log_of("GET", path))


async def test_a_request_that_is_given_up_has_a_line(log: Log) -> None:
    """A crash that goes through leaves a line without a status."""

    async def crash(scope: object, receive: object, send: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await call(AccessLogMiddleware(crash), http_scope())
    assert (log.line["event"], log.line["status"]) == ("request", None)


@pytest.mark.asvs("16.4.1", "16.2.5")
async def test_the_method_is_searched_for_secrets(log: Log) -> None:
    """It is the one field of the line whose text the client chooses."""
    await call(AccessLogMiddleware(Recorder()), http_scope(method=f"password={'x' * 30}\n"))
    assert log.line["method"] == "password=**********\\n"


async def test_a_quiet_log_has_no_access_line() -> None:
    """The line is one of `info`."""
    with captured_log(log_settings(log_level="warning")) as log:
        await call(AccessLogMiddleware(Recorder()), http_scope())
    assert log.text == ""
