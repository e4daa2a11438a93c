"""`app/http/middleware/cors.py`: which pages of other origins may read what."""

import pytest
from structlog.testing import capture_logs

from app.http.middleware.cors import CorsMiddleware
from tests.support.http.asgi import Recorder, ResponseBody, call, http_scope

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("3.4.2")]

LISTED = "https://app.example"
FOREIGN = [
    "https://evil.example",
    "null",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example.evil.example",
    "https://evilapp.example",
    "https://sub.app.example",
    "https://app.example/",
    "HTTPS://APP.EXAMPLE",
    "*",
    "",
]


async def asked(origin: str | None, method: str = "GET", **headers: str) -> tuple[ResponseBody, Recorder]:
    """Ask from a page of the origin."""
    recorder = Recorder()
    given = [("origin", origin)] if origin is not None else []
    given += [(name.replace("_", "-"), value) for name, value in headers.items()]
    answer = await call(CorsMiddleware(recorder, origins=[LISTED]), http_scope(method, headers=given))
    return answer, recorder


def shared_with(answer: ResponseBody) -> list[str]:
    """The headers of the answer that let pages of other origins in."""
    return [name.decode() for name, _ in answer.raw_headers if name.startswith(b"access-control")]


async def test_a_listed_origin_may_read() -> None:
    """A page of a listed origin reads the answer and the headers it needs; cookies are not for it."""
    answer, recorder = await asked(LISTED)
    assert recorder.called
    assert answer.header("access-control-allow-origin") == LISTED
    assert "X-Request-ID" in (answer.header("access-control-expose-headers") or "")
    assert answer.header("access-control-allow-credentials") is None
    assert answer.header("cross-origin-resource-policy") == "cross-origin"


@pytest.mark.parametrize("origin", FOREIGN)
async def test_another_origin_may_not(origin: str) -> None:
    """Look-alikes, `null`, another scheme or port: nothing in the answer lets them read it."""
    answer, recorder = await asked(origin)
    assert recorder.called
    assert shared_with(answer) == []


async def test_no_origin_is_no_page() -> None:
    """What is no page of another origin gets no such header."""
    answer, recorder = await asked(None)
    assert recorder.called
    assert shared_with(answer) == []


async def test_preflight_of_a_listed_origin() -> None:
    """It is answered without asking the application."""
    answer, recorder = await asked(LISTED, "OPTIONS", access_control_request_method="PUT")
    assert (answer.status, recorder.called) == (204, False)
    assert answer.header("access-control-allow-origin") == LISTED
    assert "PUT" in (answer.header("access-control-allow-methods") or "").split(", ")
    assert "Authorization" in (answer.header("access-control-allow-headers") or "").split(", ")
    assert answer.header("access-control-max-age") == "600"
    assert answer.header("access-control-allow-credentials") is None


async def test_preflights_do_not_leak_into_each_other() -> None:
    """The answer to one preflight is not changed by the one before."""
    first, _ = await asked(LISTED, "OPTIONS", access_control_request_method="PUT")
    second, _ = await asked(LISTED, "OPTIONS", access_control_request_method="GET")
    assert first.raw_headers == second.raw_headers


@pytest.mark.asvs("16.3.3")
@pytest.mark.parametrize("origin", [origin for origin in FOREIGN if origin])
async def test_preflight_of_another_origin(origin: str) -> None:
    """It is refused, and a security event."""
    with capture_logs() as lines:
        answer, recorder = await asked(origin, "OPTIONS", access_control_request_method="PUT")
    assert (answer.status, recorder.called) == (403, False)
    assert shared_with(answer) == []
    assert [line["event"] for line in lines] == ["cross_origin_refused"]


async def test_options_without_a_preflight() -> None:
    """OPTIONS that is no preflight is for the application."""
    _, recorder = await asked(LISTED, "OPTIONS")
    assert recorder.called
