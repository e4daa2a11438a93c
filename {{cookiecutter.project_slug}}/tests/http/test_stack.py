"""`app/http/stack.py`: every answer of the real application has every header, whoever makes it."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import Response
from starlette.middleware import Middleware

from app.access.policies import Public, policy
from app.core.limits import Limiter
from app.http.middleware.security_headers import security_headers
from app.http.stack import middleware
from tests.conftest import PUBLIC_URL, MakeSettings, StartService
from tests.support.http.asgi import call, http_scope
from tests.support.processes.server import free_port
from tests.support.service import Service

pytestmark = pytest.mark.anyio

APP_ORIGIN = "https://app.example"
ON_EVERY_ANSWER = frozenset(name.decode() for name, _ in security_headers(hsts_include_subdomains=True)) | {
    "vary",
    "x-request-id",
}


@pytest.fixture
async def service(start: StartService) -> AsyncIterator[Service]:
    """The application with a listed origin, and with routes for answers that no route of its own gives."""
    async with start(cors_origins=(APP_ORIGIN,)) as running:

        @running.app.get("/crash")
        @policy(Public())
        async def crash() -> None:
            message = "canary"
            raise RuntimeError(message)

        @running.app.get("/unchanged")
        @policy(Public())
        async def unchanged() -> Response:
            return Response(status_code=304)

        yield running


def assert_complete(answer: httpx2.Response, status: int) -> None:
    """The answer has the status, and every header exactly once."""
    assert answer.status_code == status, answer.text
    missing = ON_EVERY_ANSWER - set(answer.headers)
    assert not missing
    for name in ON_EVERY_ANSWER - {"vary"}:
        assert len(answer.headers.get_list(name)) == 1
    assert "server" not in answer.headers
    if answer.content:
        shape = "application/json" if status < 400 else "application/problem+json"
        assert answer.headers["content-type"] == shape


PREFLIGHT = {"Origin": APP_ORIGIN, "Access-Control-Request-Method": "POST"}
JSON = {"Content-Type": "application/json"}

ANSWERS: list[tuple[int, str, str, dict[str, object]]] = [
    (200, "GET", "/livez", {}),
    (200, "HEAD", "/livez", {}),
    (204, "OPTIONS", "/api/v1/signin", {"headers": PREFLIGHT}),
    (403, "OPTIONS", "/api/v1/signin", {"headers": {**PREFLIGHT, "Origin": "https://evil.example"}}),
    (304, "GET", "/unchanged", {}),
    (400, "GET", "/livez?a=1&a=2", {}),
    (400, "GET", "/livez?access_token=x", {}),
    (400, "GET", "/api/v1/info", {"headers": {"Host": "evil.example"}}),
    (400, "POST", "/api/v1/signin", {"headers": JSON, "content": b"{"}),
    (401, "GET", "/api/v1/users/me", {}),
    (401, "GET", "/api/v1/users/me", {"headers": {"Authorization": "Bearer x.y.z"}}),
    (401, "HEAD", "/api/v1/users/me", {}),
    (403, "POST", "/api/v1/signin", {"headers": {"Cookie": "a=b"}, "json": {}}),
    (404, "GET", "/nowhere", {}),
    (404, "GET", "/livez/", {}),
    (404, "HEAD", "/nowhere", {}),
    (405, "POST", "/livez", {}),
    (405, "TRACE", "/livez", {}),
    (413, "POST", "/api/v1/signin", {"headers": JSON, "content": b" " * (1024 * 1024 + 1)}),
    (414, "GET", "/" + "a" * 9000, {}),
    (415, "POST", "/api/v1/signin", {"headers": {"Content-Type": "text/plain"}, "content": b"{}"}),
    (422, "POST", "/api/v1/signin", {"json": {}}),
    (431, "GET", "/livez", {"headers": [("X-Many", "x")] * 101}),
    (500, "GET", "/crash", {}),
    (500, "HEAD", "/crash", {}),
]


@pytest.mark.asvs("3.4.1", "3.4.3", "3.4.4", "3.4.5", "3.4.6", "14.3.2", "16.5.1")
@pytest.mark.parametrize(("status", "method", "path", "options"), ANSWERS, ids=lambda value: str(value)[:40])
async def test_every_header_on_every_answer(
    service: Service, status: int, method: str, path: str, options: dict[str, object]
) -> None:
    """Success, redirect-like, refusal by each middleware, error of a route, crash, preflight, HEAD: all headers."""
    answer = await service.client.request(method, path, **options)  # type: ignore[arg-type]
    assert_complete(answer, status)
    assert "canary" not in answer.text


@pytest.mark.asvs("2.4.1", "3.4.1")
async def test_every_header_on_429(start: StartService) -> None:
    """Beyond the limit, too."""
    async with start(rate_limit_default="2/minute") as service:
        answers = [await service.client.get("/nowhere") for _ in range(3)]
        assert_complete(answers[-1], 429)
        assert answers[-1].headers["retry-after"]


@pytest.mark.asvs("16.5.2", "3.4.1")
async def test_every_header_on_503(start: StartService) -> None:
    """Without the counters, too; the process is still up."""
    async with start(redis_url=f"redis://127.0.0.1:{free_port()}/0") as service:
        for path in ("/readyz", "/api/v1/users/me"):
            answer = await service.client.get(path)
            assert_complete(answer, 503)
            assert answer.headers["retry-after"]
        assert_complete(await service.client.get("/livez"), 200)


@pytest.mark.asvs("3.4.2")
@pytest.mark.parametrize(
    ("status", "method", "path", "options"),
    [answer for answer in ANSWERS if answer[0] in {200, 401, 404, 413, 415, 422, 500}],
    ids=lambda value: str(value)[:40],
)
async def test_a_listed_origin_can_read_errors(
    service: Service, status: int, method: str, path: str, options: dict[str, object]
) -> None:
    """A page that may call the service is told what went wrong, even by a crash; another one is told nothing."""
    for origin, allowed in ((APP_ORIGIN, APP_ORIGIN), ("https://evil.example", None), ("null", None)):
        headers = {**(options.get("headers") or {}), "Origin": origin}  # type: ignore[dict-item]
        answer = await service.client.request(method, path, **{**options, "headers": headers})  # type: ignore[arg-type]
        assert answer.status_code == status
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.asvs("4.1.2", "3.4.1")
async def test_hsts_include_subdomains_is_a_setting(start: StartService) -> None:
    """`HSTS_INCLUDE_SUBDOMAINS` reaches every answer; unset, it is on."""
    for settings, expected in (
        ({}, "max-age=63072000; includeSubDomains"),
        ({"hsts_include_subdomains": False}, "max-age=63072000"),
    ):
        async with start(**settings) as service:
            answer = await service.client.get("/nothing-here")
        assert answer.headers["strict-transport-security"] == expected


async def test_production_refuses_plain_http(make_settings: MakeSettings, start: StartService) -> None:
    """In production a plain request is refused with every header, and HTTPS is served; elsewhere plain HTTP is."""
    production = {"environment": "production", "admin_email": "operator@service.example"}
    async with start(**production) as service:
        answer = await service.client.get("http://service.example/api/v1/users/me")
        assert_complete(answer, 403)
        assert "location" not in answer.headers
        assert_complete(await service.client.get(f"{PUBLIC_URL}/api/v1/users/me"), 401)
    assert make_settings().production is False


async def test_nothing_is_between_the_stack_and_a_crash_of_its_own(make_settings: MakeSettings) -> None:
    """A crash of a middleware itself is answered with the headers, for the last resort stands outside of it."""
    stack = middleware(make_settings(), Limiter(None, "test"))
    innermost = [repr(entry) for entry in stack].index("Middleware(LastResortMiddleware)")
    broken = Middleware(_Broken)

    app = _Broken(None)
    for cls, args, kwargs in reversed([*stack[: innermost + 1], broken]):
        app = cls(app, *args, **kwargs)
    answer = await call(app, http_scope(headers=[("host", "service.example")]))
    assert answer.status == 500
    assert all(answer.header(name) for name in ON_EVERY_ANSWER)


class _Broken:
    def __init__(self, _: object) -> None:
        pass

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        message = "broken"
        raise RuntimeError(message)
