"""`app/http/middleware/checks.py`: which hosts are ours."""

import pytest
from structlog.testing import capture_logs

from app.core.settings.rules import host_pattern
from app.http.middleware.checks import TrustedHostCheck
from app.http.request.base import ChecksMiddleware
from tests.conftest import StartService
from tests.support.http.asgi import Recorder, call, http_scope

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("4.1.3")]

ALLOWED = ("service.example", "*.internal.example", "127.0.0.1", "[::1]")


async def status(*hosts: str | bytes, allowed: tuple[str, ...] = ALLOWED) -> int:
    """The status of the answer; the application answers 200."""
    recorder = Recorder()
    answer = await call(
        ChecksMiddleware(recorder, checks=[TrustedHostCheck(allowed=allowed)]),
        http_scope(headers=[("host", h) for h in hosts]),
    )
    assert recorder.called is (answer.status == 200)
    return answer.status


@pytest.mark.parametrize(
    "host",
    [
        "service.example",
        "SERVICE.example",
        "service.example:8443",
        "service.example.",
        "a.internal.example",
        "a.b.internal.example:80",
        "127.0.0.1:8000",
        "[::1]",
        "[::1]:8000",
    ],
)
async def test_ours(host: str) -> None:
    """A listed name, in any case, with any port; a name below a wildcard; an address."""
    assert await status(host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "service.example.evil.example",
        "evilservice.example",
        "internal.example",
        "xinternal.example",
        "service.example@evil.example",
        "service.example/evil",
        "service.example, evil.example",
        "service.example:port",
        "service.example:123456",
        "",
        " ",
        "http://service.example",
        "[::2]",
        "127.0.0.2",
        "service.example\\evil",
        "service.example#",
        "service.example?",
        b"service.example\xff",
        "s\u0435rvice.example".encode(),
    ],
)
async def test_not_ours(host: str | bytes) -> None:
    """Other names, look-alikes and malformed values are refused."""
    assert await status(host) == 400


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ("api_gateway", "api_gateway:8000"),
        ("_dmarc.service.example", "_dmarc.service.example"),
        ("*.compose_default", "api_1.compose_default"),
        ("[2001:db8:0:0:0:0:0:1]", "[2001:DB8:0:0::1]:443"),
        ("service.example.", "service.example"),
        ("xn--bcher-kva.example", "XN--BCHER-KVA.example."),
    ],
)
async def test_requests_can_use_every_host_that_allowed_hosts_accepts(configured: str, sent: str) -> None:
    """`ALLOWED_HOSTS` and the `Host` header have one grammar (RFC 3986 §3.2.2): underscores, forms of an address."""
    assert await status(sent, allowed=(host_pattern(configured),)) == 200


@pytest.mark.parametrize(
    "host", ["-service.example", "a..example", f"{'x' * 64}.example", "[1]", ".", ":80", "::1", "[::1%eth0]"]
)
async def test_no_request_can_use_a_host_that_allowed_hosts_rejects(host: str) -> None:
    """Such a name is rejected by the settings, and by a service that answers for every host."""
    with pytest.raises(ValueError, match=r"holds|is not"):
        host_pattern(host)
    assert await status(host, allowed=("*",)) == 400


@pytest.mark.asvs("4.2.1")
async def test_exactly_one() -> None:
    """No host, or two, even the same one twice, is refused."""
    assert await status() == 400
    assert await status("service.example", "service.example") == 400


async def test_any() -> None:
    """`*` takes every well-formed name, and still no malformed one."""
    assert await status("anything.example", allowed=("*",)) == 200
    assert await status("any thing", allowed=("*",)) == 400


@pytest.mark.parametrize("host", ["10.244.0.5:8000", "[fd00::5]:8000", "cluster.example", "", "a b"])
async def test_probes_are_answered_whatever_the_host_is(start: StartService, host: str) -> None:
    """Orchestrators ask by the address of a container, without TLS. Nothing else is answered so."""
    async with start(environment="production") as service:
        for path, status in (
            ("/livez", 200),
            ("/readyz", 200),
            ("/livez/", 400),
            ("/LIVEZ", 400),
            ("/", 400),
            ("/api/v1/info", 400),
            ("/.well-known/oauth-authorization-server", 400),
            ("/openapi.json", 400),
            ("/nowhere", 400),
        ):
            answer = await service.client.get(f"http://service.example{path}", headers={"Host": host})
            assert answer.status_code == status, path
        two = [("Host", "service.example"), ("Host", host)]
        assert (await service.client.get("http://service.example/livez", headers=two)).status_code == 400


@pytest.mark.asvs("16.3.3")
async def test_is_logged() -> None:
    """A refusal is a security event."""
    with capture_logs() as lines:
        await status("evil.example")
    assert [(line["event"], line["outcome"]) for line in lines] == [("host_refused", "denied")]
