"""`app/http/middleware/security_headers.py`: the headers, their values, and who may set another."""

import re

import pytest
from starlette.types import Receive, Scope, Send

from app.http.middleware.security_headers import SecurityHeadersMiddleware
from tests.support.http.asgi import ResponseBody, call, http_scope

pytestmark = pytest.mark.anyio


async def answered(*own: tuple[bytes, bytes], hsts_include_subdomains: bool = True) -> ResponseBody:
    """The answer of an application that sets headers of its own."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(own)})
        await send({"type": "http.response.body"})

    middleware = SecurityHeadersMiddleware(app, hsts_include_subdomains=hsts_include_subdomains)
    return await call(middleware, http_scope())


@pytest.mark.asvs("3.4.1")
async def test_strict_transport_security() -> None:
    """Browsers are told to use HTTPS for at least a year, for all names below too."""
    value = (await answered()).header("strict-transport-security") or ""
    match = re.match(r"max-age=(\d+); includeSubDomains", value)
    assert match
    assert int(match[1]) >= 31_536_000


@pytest.mark.asvs("3.4.1")
async def test_names_below_can_be_left_out_of_strict_transport_security() -> None:
    """A parent domain with names that are still plain HTTP keeps them reachable (RFC 6797 §6.1.2)."""
    value = (await answered(hsts_include_subdomains=False)).header("strict-transport-security")
    assert value == "max-age=63072000"


@pytest.mark.asvs("3.4.3", "3.4.6", "3.2.1")
async def test_content_security_policy() -> None:
    """Nothing may be loaded, framed, based or submitted from an answer that is no page."""
    policy = set(((await answered()).header("content-security-policy") or "").split("; "))
    assert {
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    } <= policy


@pytest.mark.asvs("3.4.4", "3.4.5", "14.3.2")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
    ],
)
async def test_fixed_values(name: str, value: str) -> None:
    """No sniffing, no referrer to others, no sharing with other origins, no cache."""
    assert (await answered()).header(name) == value


async def test_permissions_policy() -> None:
    """Every feature that is named is denied."""
    features = ((await answered()).header("permissions-policy") or "").split(", ")
    assert len(features) >= 5
    assert all(feature.endswith("=()") for feature in features)


@pytest.mark.asvs("14.2.2")
async def test_vary_is_added_to_that_of_the_answer() -> None:
    """Caches are told that the answer depends on who asks, beside what the answer itself depends on."""
    vary = (await answered((b"vary", b"Accept"))).header("vary") or ""
    assert set(vary.split(", ")) == {"Accept", "Authorization", "Cookie", "Origin"}


async def test_an_answer_keeps_its_own_value() -> None:
    """A page with a policy of its own, or a file that may be cached, is left so; each header is there once."""
    answer = await answered((b"Content-Security-Policy", b"default-src 'self'"), (b"cache-control", b"max-age=60"))
    assert answer.header("content-security-policy") == "default-src 'self'"
    assert answer.header("cache-control") == "max-age=60"
    assert answer.header("x-content-type-options") == "nosniff"
