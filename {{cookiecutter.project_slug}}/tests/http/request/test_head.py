"""`app/http/request/allowed_methods.py`: HEAD is GET without content."""

import pytest
from starlette.types import Receive, Scope, Send

from app.http.request.allowed_methods import HeadMiddleware
from tests.support.http.asgi import Recorder, call, http_scope

pytestmark = pytest.mark.anyio


async def test_asks_for_get_and_drops_the_content() -> None:
    """The application sees GET; the client gets its headers and nothing else."""
    recorder = Recorder()
    answer = await call(HeadMiddleware(recorder), http_scope("HEAD"))
    assert recorder.scope["method"] == "GET"
    assert (answer.status, answer.header("content-type"), answer.body) == (200, "text/plain", b"")
    assert answer.complete


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_leaves_other_methods(method: str) -> None:
    """Other methods come through as they are, and their content too."""
    recorder = Recorder()
    answer = await call(HeadMiddleware(recorder), http_scope(method))
    assert (recorder.scope["method"], answer.body) == (method, b"content")


async def test_the_request_stays_head_for_the_rest() -> None:
    """Middleware outside sees HEAD, and what the routing found, also after a crash."""

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        scope["route"] = "the route"
        raise RuntimeError

    scope = http_scope("HEAD")
    with pytest.raises(RuntimeError):
        await call(HeadMiddleware(app), scope)
    assert (scope["method"], scope["route"]) == ("HEAD", "the route")
