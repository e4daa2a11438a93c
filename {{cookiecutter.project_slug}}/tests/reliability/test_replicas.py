"""Three replicas behind Caddy with TLS, on PostgreSQL and Valkey, are one service."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import asyncpg
import httpx2
import pytest

from tests.reliability.conftest import MOST_SIGNINS, Site
from tests.support.processes.fleet import past_the_proxy, through
from tests.support.processes.server import HOST

ME = "/api/v1/users/me"
# Linux answers on all of 127.0.0.0/8, so this client can have a network of its own.
STRANGER = "127.0.0.77" if sys.platform == "linux" else HOST
REFRESHES = 50
MAILS = 40

Ask = Callable[[int], httpx2.Response]


def at_once(count: int, ask: Ask) -> list[httpx2.Response]:
    """Ask so many times in parallel."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    """The header with the access token."""
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.mark.asvs("7.4.1")
def test_sign_out_counts_on_every_replica_at_the_next_request(site: Site) -> None:
    """Each has just served the session; once one of them has ended it, each answers 401."""
    headers = bearer(site.sign_in())
    with ExitStack() as stack:
        replicas = [stack.enter_context(past_the_proxy(port)) for port in site.fleet.ports]
        assert [replica.get(ME, headers=headers).status_code for replica in replicas] == [200] * 3
        session = next(
            row for row in replicas[0].get("/api/v1/sessions", headers=headers).json()["items"] if row["current"]
        )
        assert site.client.delete(f"/api/v1/sessions/{session['id']}", headers=headers).status_code == 204
        assert [replica.get(ME, headers=headers).status_code for replica in replicas] == [401] * 3


@pytest.mark.asvs("10.4.5")
def test_parallel_refreshes_leave_no_second_chain(site: Site) -> None:
    """Of 50 refreshes with one token over all replicas one succeeds; the others are reuse, which ends the family."""
    first = site.sign_in()
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    answers = at_once(REFRESHES, lambda _: site.client.post("/oauth/token", data=form))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: REFRESHES - 1}
    assert all('"/oauth/token"' in log for log in site.fleet.logs())
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    for tokens in (first, won):
        assert site.client.get(ME, headers=bearer(tokens)).status_code == 401
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert site.client.post("/oauth/token", data=form).json()["error"] == "invalid_grant"


async def until_none_waits(url: str) -> None:
    """Wait until every mail is recorded as sent: none is sent after that."""
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(10):
        while await connection.fetchval("SELECT count(*) FROM outbox WHERE status <> 'sent'"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await connection.close()


def test_each_mail_is_sent_once(site: Site) -> None:
    """Registrations at all replicas fill one outbox, from which all of them deliver each mail once, without a crash."""
    addresses = {f"{number}@people.example" for number in range(MAILS)}

    def register(number: int) -> httpx2.Response:
        body = {"email": f"{number}@people.example", "password": f"the {number} lamps of the harbour sing"}
        return site.client.post("/api/v1/accounts", json=body)

    assert Counter(answer.status_code for answer in at_once(MAILS, register)) == {202: MAILS}
    asyncio.run(until_none_waits(site.database_url))
    sent = Counter(recipient for recipient in site.mail.recipients if recipient in addresses)
    assert sent == dict.fromkeys(addresses, 1)


@pytest.mark.asvs("2.4.1", "6.3.1")
def test_all_replicas_together_allow_what_the_limit_says(site: Site) -> None:
    """Of parallel attempts from one network, as many as the limit are looked at; every other one is 429."""
    body = {"email": "nobody@people.example", "password": "wrong"}
    with through(site.proxy, STRANGER) as stranger:
        answers = at_once(MOST_SIGNINS + 50, lambda _: stranger.post("/api/v1/signin", json=body))
    assert Counter(answer.status_code for answer in answers) == {401: MOST_SIGNINS, 429: 50}
    assert all('"status":429' in log for log in site.fleet.logs())
