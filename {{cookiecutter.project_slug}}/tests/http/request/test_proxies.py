"""`app/http/request/proxies.py`: whose word counts about the client and the scheme."""

from ipaddress import ip_network

import pytest

from app.http.request.proxies import ProxiesMiddleware, client_ip_of
from tests.conftest import StartService
from tests.support.http.asgi import Headers, Recorder, call, http_scope

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
        ([f"{CLIENT}:51744"], CLIENT),
        (["[2001:db8::9]:443"], "2001:db8::9"),
        (["[2001:DB8::9]"], "2001:db8::9"),
        ([f"[::ffff:{CLIENT}]:443"], CLIENT),
        ([f"{FORGED}:1, {CLIENT}:2, {INNER_PROXY}:3, [fd00::7]:4"], CLIENT),
        ([f"unknown, {CLIENT}"], CLIENT),
        ([f"{CLIENT}, "], CLIENT),
        ([f"{CLIENT},,\t,{INNER_PROXY}"], CLIENT),
        ([INNER_PROXY], INNER_PROXY),
        ([f"fd00::9, {INNER_PROXY}"], "fd00::9"),
        ([""], PROXY),
        ([], PROXY),
    ],
)
async def test_forwarded_for_is_read_from_the_right(lines: list[str], client: str) -> None:
    """The last hop that is no trusted proxy is the client, without its port; the first one if all are proxies."""
    headers = [("x-forwarded-for", line) for line in lines]
    assert (await seen(PROXY, headers))[0] == client
    mapped = f"::ffff:{PROXY}"
    assert (await seen(mapped, headers))[0] == (mapped if client == PROXY else client)


UNREADABLE = [
    "unknown",
    "_hidden",
    "unix:",
    "203.0.113.7:port",
    "203.0.113.7:123456",
    "203.0.113.7:",
    "203.0.113.300",
    "2001:db8::1]:443",
    "[203.0.113.7]:443",
    "fe80::1%eth0",
    '"203.0.113.7"',
    "for=203.0.113.7",
    "203.0.113.7 203.0.113.8",
]


@pytest.mark.parametrize("entry", UNREADABLE)
async def test_a_client_without_a_readable_address_is_refused(start: StartService, entry: str) -> None:
    """Counted as the proxy, or by one name, such clients would share limits; on the left of the client it is nothing.

    An entry of a stranger, who is no proxy, is not even looked at.
    """
    async with start(trusted_proxies="127.0.0.1,10.0.0.0/30") as service:
        for line in (entry, f"{CLIENT}, {entry}", f"{entry}, {PROXY}"):
            refused = await service.client.get("/api/v1/roles", headers={"X-Forwarded-For": line})
            assert (refused.status_code, "X-Forwarded-For" in refused.json()["detail"]) == (400, True), line
        line = f"{entry}, {CLIENT}"
        assert (await service.client.get("/livez", headers={"X-Forwarded-For": line})).status_code == 200
    async with start() as service:
        assert (await service.client.get("/livez", headers={"X-Forwarded-For": entry})).status_code == 200


@pytest.mark.asvs("6.3.1")
@pytest.mark.parametrize(
    ("stranger", "owner", "address"),
    [
        ("203.0.113.8:51744", "203.0.113.9:51744", "203.0.113.9"),
        ("[2001:db8:1::1]:51744", "[2001:db8:2::1]:443", "2001:db8:2::1"),
        ("10.1.2.3", "10.1.2.4", "10.1.2.4"),
    ],
)
async def test_failures_of_a_stranger_lock_nobody_else_out(
    start: StartService, stranger: str, owner: str, address: str
) -> None:
    """Each client has its own limit behind a proxy that writes ports, and in a trusted network of clients too."""
    async with start(rate_limit_signin="3/hour", trusted_proxies="127.0.0.1:8080,[::1]:80,10.0.0.0/8") as service:
        person = await service.person()
        at_home = {"X-Forwarded-For": owner}
        await service.sign_in(person, headers=at_home)
        for port in range(1, 6):
            line = stranger.replace("51744", str(port))
            await service.try_sign_in(person.email, "wrong", headers={"X-Forwarded-For": line})
        last = await service.try_sign_in(person.email, "wrong", headers={"X-Forwarded-For": stranger})
        assert last.status_code == 429
        tokens = await service.sign_in(person, headers=at_home)
        sessions = await service.client.get("/api/v1/sessions", headers=tokens.bearer | at_home)
        assert {row["ip"] for row in sessions.json()["items"]} == {address}


@pytest.mark.parametrize(
    ("lines", "scheme"),
    [
        (["https"], "https"),
        (["http"], "http"),
        (["HTTPS"], "https"),
        (["Https , HTTP"], "https"),
        (["https, http"], "https"),
        (["https", "http"], "https"),
        (["http, https"], "http"),
        (["wss"], "http"),
        (["on"], "http"),
        ([""], "http"),
        ([], "http"),
    ],
)
async def test_forwarded_proto(lines: list[str], scheme: str) -> None:
    """What proxies say of each other is skipped, in any case; anything but http and https is ignored."""
    assert (await seen(PROXY, [("x-forwarded-proto", line) for line in lines]))[1] == scheme


@pytest.mark.parametrize(
    ("hops", "schemes", "scheme"),
    [
        (f"{CLIENT}, {INNER_PROXY}", "https, http", "https"),
        (f"{CLIENT}, {INNER_PROXY}", "http, https", "http"),
        (f"{FORGED}, {CLIENT}", "https, http", "http"),
        (f"{FORGED}, {CLIENT}", "http, https", "https"),
        (f"{FORGED}, {CLIENT}, {INNER_PROXY}", "https, http, https", "http"),
        (f"{CLIENT}, {INNER_PROXY}", "https", "https"),
        (f"{FORGED}, {CLIENT}", "https", "https"),
        (CLIENT, "https, http", "https"),
        (CLIENT, "HTTP", "http"),
    ],
)
async def test_the_scheme_is_that_of_the_client(hops: str, schemes: str, scheme: str) -> None:
    """In two lists of one length it stands where the client stands; otherwise the first entry is about the client."""
    assert (await seen(PROXY, [("x-forwarded-for", hops), ("x-forwarded-proto", schemes)]))[1] == scheme


@pytest.mark.asvs("4.1.2")
@pytest.mark.parametrize(
    ("schemes", "status"), [("https", 200), ("HTTPS", 200), ("https, http", 200), ("http", 403), ("", 403), ("x", 403)]
)
async def test_production_behind_proxies(start: StartService, schemes: str, status: int) -> None:
    """A chain that says HTTPS for the client is HTTPS, however it is written."""
    async with start(environment="production", trusted_proxies="127.0.0.1") as service:
        url = "http://service.example/.well-known/oauth-authorization-server"
        for headers in ({"X-Forwarded-For": f"{CLIENT}:51744"}, {}):
            answer = await service.client.get(url, headers=headers | {"X-Forwarded-Proto": schemes})
            assert answer.status_code == status


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
