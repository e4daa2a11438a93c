"""`app/http/middleware/checks.py`: cookie requests that a page of somebody else makes a browser send."""

from functools import partial

import pytest
from structlog.testing import capture_logs

from app.http.middleware.checks import require_own_origin
from app.http.request.base import ChecksMiddleware
from tests.support.http.asgi import Headers, Recorder, call, http_scope

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("3.5.1")]

OWN, LISTED, EVIL = "https://service.example", "https://app.example", "https://evil.example"


async def status(headers: Headers, *, method: str = "POST", cookie: bool = True) -> int:
    """The status of the answer; the application answers 200."""
    recorder = Recorder()
    app = ChecksMiddleware(recorder, checks=[partial(require_own_origin, public_url=OWN)])
    given = [*headers, *([("cookie", "session=1")] if cookie else [])]
    answer = await call(app, http_scope(method, headers=given))
    assert recorder.called is (answer.status == 200)
    return answer.status


def site(value: str) -> tuple[str, str]:
    """The header that says how the page and the service are related."""
    return ("sec-fetch-site", value)


def origin(value: str) -> tuple[str, str]:
    """The header that says where the page is from."""
    return ("origin", value)


@pytest.mark.parametrize(
    "headers",
    [
        [site("same-origin")],
        [site("same-origin"), origin(OWN)],
        # On another of the machine's names, in development.
        [site("same-origin"), origin("http://localhost:8000")],
        [site("none")],
        [origin(OWN)],
    ],
)
async def test_ours(headers: Headers) -> None:
    """Our own pages, and the user's own doing, may do what changes something."""
    assert await status(headers) == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [site("cross-site")],
        [site("same-site")],
        [site("cross-site"), origin(EVIL)],
        [site("same-site"), origin(EVIL)],
        # One that `CORS_ORIGINS` lists.
        [site("same-site"), origin(LISTED)],
        [site("cross-site"), origin(LISTED)],
        [origin(LISTED)],
        # Fetch Metadata knows better than an origin that looks like ours.
        [site("cross-site"), origin(OWN)],
        [site("same-origin"), site("cross-site")],
        [site("unheard-of")],
        [site("")],
        [site("Same-Origin")],
        [origin(EVIL)],
        [origin("null")],
        [origin("http://service.example")],
        [origin("https://service.example.evil.example")],
        [origin("https://service.example:8443")],
        [origin(OWN), origin(EVIL)],
        [("referer", f"{OWN}/account")],
    ],
)
async def test_others(headers: Headers, method: str) -> None:
    """Other origins, same-site ones too, and requests that do not say where they are from, are refused."""
    assert await status(headers, method=method) == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_safe_methods(method: str) -> None:
    """A link from another page may be followed."""
    assert await status([site("cross-site"), origin(EVIL)], method=method) == 200


async def test_without_a_cookie() -> None:
    """A request that carries nothing of the browser's own is not asked."""
    assert await status([site("cross-site"), origin(EVIL)], cookie=False) == 200
    assert await status([], cookie=False) == 200


@pytest.mark.asvs("16.3.3")
async def test_is_logged() -> None:
    """A refusal is a security event."""
    with capture_logs() as lines:
        await status([origin(EVIL)])
    assert [(line["event"], line["outcome"]) for line in lines] == [("cross_origin_refused", "denied")]
