"""`app/http/proxies.py`: whose word counts about the client and the scheme."""

from ipaddress import ip_network

import pytest

from app.http.proxies import ProxiesMiddleware, client_ip_of
from tests.support.asgi import Headers, Recorder, call, http_scope

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("4.1.3", "15.3.4")]

PROXY, INNER_PROXY, CLIENT, FORGED = "10.0.0.1", "10.0.0.2", "203.0.113.7", "198.51.100.66"
TRUSTED = (ip_network("10.0.0.0/30"), ip_network("fd00::/64"))


async def seen(peer: str | None, headers: Headers, *, trusted: bool = True) -> tuple[str, str]:
    """The client and the scheme that the application sees."""
    recorder = Recorder()
    app = ProxiesMiddleware(recorder, trusted=TRUSTED if trusted else ())
    client = (peer, 40000) if peer else None
    await call(app, http_scope(headers=headers, client=client, scheme="http"))
    return client_ip_of(recorder.scope), recorder.scope["scheme"]


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Forwarded-For", FORGED), ("X-Forwarded-Proto", "https")],
        [("Forwarded", f"for={FORGED};proto=https;host=evil.example")],
        [("X-Real-IP", FORGED), ("X-Client-IP", FORGED), ("True-Client-IP", FORGED), ("CF-Connecting-IP", FORGED)],
        [("X-Forwarded-Scheme", "https"), ("X-Forwarded-Ssl", "on"), ("Front-End-Https", "on")],
    ],
)
async def test_headers_of_a_stranger_change_nothing(headers: Headers) -> None:
    """With or without trusted proxies, a peer that is none of them is the client, whatever it writes."""
    lower = [(str(name).lower(), value) for name, value in headers]
    assert await seen(CLIENT, lower) == (CLIENT, "http")
    assert await seen(PROXY, lower, trusted=False) == (PROXY, "http")


@pytest.mark.parametrize(
    "name", ["forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "x-forwarded-host", "x-user-id"]
)
async def test_no_other_header_is_believed(name: str) -> None:
    """Not even a trusted proxy is believed in headers that this service does not read."""
    assert await seen(PROXY, [(name, FORGED)]) == (PROXY, "http")


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ([CLIENT], CLIENT),
        ([f"{FORGED}, {CLIENT}"], CLIENT),
        ([f"{FORGED}, {CLIENT}, {INNER_PROXY}"], CLIENT),
        ([f"{FORGED}, {CLIENT}", INNER_PROXY], CLIENT),
        ([FORGED, f"{CLIENT},{INNER_PROXY}"], CLIENT),
        (["2001:db8::9"], "2001:db8::9"),
        ([f"::ffff:{CLIENT}"], CLIENT),
        ([INNER_PROXY], PROXY),
        (["unknown"], PROXY),
        ([f"{CLIENT}, "], PROXY),
        ([f"{CLIENT}:1234"], PROXY),
        (["fe80::1%forged"], PROXY),
        ([""], PROXY),
        ([], PROXY),
    ],
)
async def test_forwarded_for_is_read_from_the_right(lines: list[str], client: str) -> None:
    """The last hop that is no trusted proxy is the client; what is malformed makes nobody else the client."""
    headers = [("x-forwarded-for", line) for line in lines]
    assert (await seen(PROXY, headers))[0] == client
    assert (await seen(f"::ffff:{PROXY}", headers))[0] in {client, f"::ffff:{PROXY}"}


@pytest.mark.parametrize(
    ("lines", "scheme"),
    [
        (["https"], "https"),
        (["http"], "http"),
        (["http", "https"], "https"),
        (["https, http"], "http"),
        (["HTTPS"], "http"),
        (["wss"], "http"),
        ([], "http"),
    ],
)
async def test_forwarded_proto(lines: list[str], scheme: str) -> None:
    """The nearest proxy says the scheme; anything but http and https is ignored."""
    assert (await seen(PROXY, [("x-forwarded-proto", line) for line in lines]))[1] == scheme


async def test_a_peer_without_an_address_is_no_proxy() -> None:
    """On a Unix socket there is no address, and nothing to trust."""
    assert await seen(None, [("x-forwarded-for", FORGED)]) == ("unknown", "http")


async def test_other_scopes_pass() -> None:
    """The lifespan is nobody's request."""
    passed = []

    async def app(scope: object, receive: object, send: object) -> None:
        passed.append(scope)

    await ProxiesMiddleware(app, trusted=TRUSTED)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert passed == [{"type": "lifespan"}]
