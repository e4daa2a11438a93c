"""`app/http/middleware/checks.py`: how often one address may ask."""

from functools import partial

import pytest
from limits import parse
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.core.limits import Limiter
from app.http.middleware.checks import require_within_limit
from app.http.request.base import ChecksMiddleware
from tests.support.http.asgi import Recorder, ResponseBody, call, http_scope
from tests.support.processes.server import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("2.4.1")]

ONE, OTHER = "203.0.113.7", "203.0.113.8"


class Limited:
    """An application that lets two requests a minute pass."""

    def __init__(self, redis_url: SecretStr | None = None) -> None:
        check = partial(require_within_limit, limiter=Limiter(redis_url, "test"), limit=parse("2/minute"))
        self.app = ChecksMiddleware(Recorder(), checks=[check])

    async def ask(self, client: str = ONE, path: str = "/") -> ResponseBody:
        """Ask once, from an address."""
        return await call(self.app, http_scope(path=path, state={"client_ip": client}))


async def test_refuses_what_is_beyond_the_limit() -> None:
    """The third is 429, and told the limit and when to come back."""
    limited = Limited()
    answers = [await limited.ask() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    wait = int(answers[2].header("retry-after") or 0)
    assert 1 <= wait <= 60
    assert answers[2].header("ratelimit-policy") == '"default";q=2;w=60'
    assert answers[2].header("ratelimit") == f'"default";r=0;t={wait}'


async def test_counts_by_address() -> None:
    """Another address has a limit of its own; the addresses of one IPv6 network share theirs."""
    limited = Limited()
    assert [(await limited.ask(ONE)).status for _ in range(3)][-1] == 429
    assert (await limited.ask(OTHER)).status == 200
    network = [f"2001:db8:1:2::{number}" for number in range(3)]
    assert [(await limited.ask(address)).status for address in network] == [200, 200, 429]
    assert (await limited.ask("2001:db8:1:3::1")).status == 200


async def test_does_not_count_probes() -> None:
    """An orchestrator that asks often does not take the service down."""
    limited = Limited()
    assert {(await limited.ask(path=path)).status for path in ("/livez", "/readyz") * 3} == {200}
    assert (await limited.ask()).status == 200


@pytest.mark.asvs("16.3.3")
async def test_is_logged() -> None:
    """A refusal is a security event."""
    limited = Limited()
    with capture_logs() as lines:
        for _ in range(3):
            await limited.ask()
    assert [(line["event"], line["outcome"]) for line in lines] == [("rate_limited", "denied")]


@pytest.mark.asvs("16.5.2", "16.5.3")
async def test_without_counters_nothing_is_allowed() -> None:
    """Where Redis does not answer, requests are 503, except the probe that says the process is up."""
    limited = Limited(SecretStr(f"redis://127.0.0.1:{free_port()}/0"))
    answer = await limited.ask()
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    assert (await limited.ask(path="/livez")).status == 200
