"""`app/http/request/request_id.py`: one name for each request, of our own making."""

import re
from ipaddress import ip_network

import pytest
from structlog.contextvars import get_contextvars

from app.http.request.proxies import ProxiesMiddleware
from app.http.request.request_id import RequestIdMiddleware
from tests.support.http.asgi import Recorder, call, http_scope

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.2.1")]

PROXY = "10.0.0.1"
OWN = re.compile(r"[0-9a-f]{32}")


async def named(peer: str, *brought: str) -> str:
    """The id on the answer."""
    recorder = Recorder()
    app = ProxiesMiddleware(RequestIdMiddleware(recorder), trusted=(ip_network(PROXY),))
    headers = [("x-request-id", value) for value in brought]
    answer = await call(app, http_scope(headers=headers, client=(peer, 1)))
    name = answer.header("x-request-id")
    assert name is not None
    assert name == recorder.scope["state"]["request_id"]
    return name


async def test_each_request_has_its_own() -> None:
    """No two requests have the same id."""
    names = {await named("203.0.113.7") for _ in range(100)}
    assert len(names) == 100
    assert all(OWN.fullmatch(name) for name in names)


async def test_a_trusted_proxy_may_bring_one() -> None:
    """An id of a trusted proxy is kept, so that its log and ours can be joined."""
    assert await named(PROXY, "edge-7f3a_2026") == "edge-7f3a_2026"


@pytest.mark.asvs("16.4.1")
@pytest.mark.parametrize(
    "brought", ["short", "x" * 65, "has space", "line\x0abreak", "é" * 10, "<script>1</script>", ""]
)
async def test_a_malformed_one_is_replaced(brought: str) -> None:
    """What does not fit the pattern never reaches an answer or a log."""
    assert OWN.fullmatch(await named(PROXY, brought))


async def test_two_are_replaced() -> None:
    """Two ids are none."""
    assert OWN.fullmatch(await named(PROXY, "edge-7f3a_2026", "edge-7f3a_2027"))


@pytest.mark.asvs("4.1.3")
async def test_nobody_else_may() -> None:
    """A client cannot choose how its request is called in the log."""
    assert OWN.fullmatch(await named("203.0.113.7", "edge-7f3a_2026"))


async def test_log_context() -> None:
    """The id and the client are in the log context during the request, and gone after it."""
    bound: dict[str, object] = {}

    async def app(scope: object, receive: object, send: object) -> None:
        bound.update(get_contextvars())

    await RequestIdMiddleware(app)(http_scope(), None, None)  # type: ignore[arg-type]
    assert bound["client"] == "203.0.113.7"
    assert OWN.fullmatch(str(bound["request_id"]))
    assert "request_id" not in get_contextvars()
