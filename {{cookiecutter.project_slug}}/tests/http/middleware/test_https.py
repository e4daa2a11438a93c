"""`app/http/middleware/checks.py`: no plain HTTP in production."""

import pytest

from app.http.middleware.checks import require_https
from app.http.request.base import ChecksMiddleware
from tests.support.http.asgi import Recorder, call, http_scope

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("4.1.2", "12.2.1")]


@pytest.mark.parametrize(
    ("scheme", "path", "status"),
    [
        ("https", "/api/v1/info", 200),
        ("http", "/api/v1/info", 403),
        ("http", "/oauth/token", 403),
        ("http", "/livez/", 403),
        ("http", "/nowhere", 403),
        ("http", "/livez", 200),
        ("http", "/readyz", 200),
    ],
)
async def test_plain_http_is_refused_and_not_redirected(scheme: str, path: str, status: int) -> None:
    """A plain request gets an error, for a redirect teaches clients to send tokens in the clear; probes may pass."""
    recorder = Recorder()
    answer = await call(ChecksMiddleware(recorder, checks=[require_https]), http_scope(path=path, scheme=scheme))
    assert answer.status == status
    assert answer.header("location") is None
    assert recorder.called is (status == 200)
