"""Two replicas: what one of them is told, the other one knows at the next request."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.database.databases import Databases
from tests.support.processes.replicas import EMAIL, PASSWORD, SECOND, running_replicas, sign_in
from tests.support.servers.valkey import running_valkey, url_of

ME = "/api/v1/users/me"
NEW_PASSWORD = "another horse, another battery"

Pair = tuple[httpx2.Client, httpx2.Client]


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Pair]:
    """Two processes on one database."""
    folder = tmp_path_factory.mktemp("replicas")
    with databases.empty(folder) as url, running_replicas(folder, url, administrators=(EMAIL, SECOND)) as (one, other):
        yield one, other


def bearer(answer: httpx2.Response) -> dict[str, str]:
    """The header with the access token of a sign-in."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.mark.asvs("7.4.1")
def test_signing_out_at_one_counts_at_the_other(replicas: Pair) -> None:
    """The access token is good at both, and dead at both as soon as its session is ended at one."""
    one, other = replicas
    headers = bearer(sign_in(one))
    assert other.get(ME, headers=headers).status_code == 200
    session = next(row for row in one.get("/api/v1/sessions", headers=headers).json()["items"] if row["current"])
    assert other.delete(f"/api/v1/sessions/{session['id']}", headers=headers).status_code == 204
    assert one.get(ME, headers=headers).status_code == 401


@pytest.mark.asvs("10.4.5")
def test_a_refresh_token_that_was_used_at_one_is_reuse_at_the_other(replicas: Pair) -> None:
    """The family ends, wherever its tokens are used."""
    one, other = replicas
    first = sign_in(one)
    form = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]}
    second = one.post("/oauth/token", data=form)
    assert second.status_code == 200
    assert other.post("/oauth/token", data=form).json()["error"] == "invalid_grant"
    assert one.get(ME, headers=bearer(second)).status_code == 401


@pytest.mark.asvs("7.4.3")
def test_a_change_of_password_at_one_ends_the_sessions_at_the_other(replicas: Pair) -> None:
    """The session that changed it lives on, every other one is dead."""
    one, other = replicas
    mine, stolen = bearer(sign_in(one)), bearer(sign_in(other))
    assert other.get(ME, headers=stolen).status_code == 200
    for current, new in ((PASSWORD, NEW_PASSWORD), (NEW_PASSWORD, PASSWORD)):
        body = {"current_password": current, "new_password": new}
        assert one.post(f"{ME}/password", json=body, headers=mine).status_code == 204
    assert other.get(ME, headers=stolen).status_code == 401
    assert other.get(ME, headers=mine).status_code == 200


@pytest.mark.asvs("7.4.2", "8.3.2")
def test_what_an_administrator_changes_at_one_counts_at_the_other(replicas: Pair) -> None:
    """Both have just served the account; its next request has the other roles, and is refused once it is disabled."""
    one, other = replicas
    admin, headers = bearer(sign_in(one)), bearer(sign_in(other, email=SECOND))
    me = [client.get(ME, headers=headers).json() for client in (one, other, other)]
    assert [each["roles"] for each in me] == [["admin"]] * 3
    account = f"/api/v1/users/{me[0]['id']}"
    for role, status in (("auditor", 200), ("member", 403)):
        assert one.put(f"{account}/roles", json={"roles": [role]}, headers=admin).status_code == 200
        assert [client.get(ME, headers=headers).status_code for client in (other, one)] == [401, 401]
        headers = bearer(sign_in(other, email=SECOND))
        assert [client.get("/api/v1/users", headers=headers).status_code for client in (one, other, other)] == [
            status
        ] * 3
        assert [client.get(ME, headers=headers).json()["roles"] for client in (one, other)] == [[role]] * 2
    assert one.patch(account, json={"disabled": True}, headers=admin).status_code == 200
    assert [client.get(ME, headers=headers).status_code for client in (other, one)] == [401, 401]


@pytest.mark.asvs("2.4.1", "6.3.1")
def test_replicas_share_the_limit_of_sign_ins(tmp_path: Path, empty_database_url: str) -> None:
    """With a store that both reach, both together let through what the limit says, whatever `X-Forwarded-For` says."""
    with (
        running_valkey() as valkey,
        running_replicas(
            tmp_path, empty_database_url, REDIS_URL=url_of(valkey), RATE_LIMIT_SIGNIN="4/hour"
        ) as replicas,
    ):
        answers = [
            sign_in(replicas[number % 2], "wrong", **{"X-Forwarded-For": f"198.51.100.{number}"})
            for number in range(10)
        ]
        statuses = [answer.status_code for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (4, 6)


@pytest.mark.asvs("16.5.2")
def test_without_the_store_nobody_gets_in(tmp_path: Path, empty_database_url: str) -> None:
    """When the counters are gone the answer is 503 with a time to come back, and readiness says so."""
    with (
        running_valkey() as valkey,
        running_replicas(tmp_path, empty_database_url, count=1, REDIS_URL=url_of(valkey)) as (client,),
    ):
        assert sign_in(client).status_code == 200
        valkey.stop()
        refused = sign_in(client)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200


@pytest.mark.asvs("16.5.2", "2.4.1")
def test_a_store_that_hangs_holds_up_one_request(tmp_path: Path, empty_database_url: str) -> None:
    """While it hangs, sign-ins are answered at once, a quarter of the limit is allowed, and readiness says so."""
    with (
        running_valkey() as valkey,
        running_replicas(
            tmp_path, empty_database_url, count=1, REDIS_URL=url_of(valkey), RATE_LIMIT_SIGNIN="8/hour"
        ) as (client,),
    ):
        assert sign_in(client).status_code == 200
        assert valkey.pid is not None
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            answers = [sign_in(client, "wrong") for _ in range(6)]
            ready = client.get("/readyz")
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
        assert [answer.status_code for answer in answers] == [401, 401, 429, 429, 429, 429]
        assert all(answer.elapsed.total_seconds() < 3 for answer in answers)
        assert sum(answer.elapsed.total_seconds() > 0.9 for answer in answers) <= 2
        assert ready.status_code == 503
        assert client.get("/readyz").status_code == 200


@pytest.mark.asvs("2.4.1", "6.3.1")
def test_replicas_share_homes_and_what_is_beyond_a_limit(tmp_path: Path, empty_database_url: str) -> None:
    """Where the owner signed in at one, the other lets them in over the limit; both hash three times the limit."""
    home, away = ({"X-Forwarded-For": ip} for ip in ("192.0.2.1", "203.0.113.9"))
    with (
        running_valkey() as valkey,
        running_replicas(
            tmp_path,
            empty_database_url,
            REDIS_URL=url_of(valkey),
            RATE_LIMIT_SIGNIN="4/hour",
            TRUSTED_PROXIES="127.0.0.1",
        ) as replicas,
    ):
        one, other = replicas
        assert sign_in(one, **home).status_code == 200
        for number in range(4):
            elsewhere = {"X-Forwarded-For": f"198.51.100.{number}"}
            assert sign_in(replicas[number % 2], "wrong", **elsewhere).status_code == 401
        assert [sign_in(each, **away).status_code for each in replicas] == [429, 429]
        assert [sign_in(each, **home).status_code for each in replicas] == [200, 200]
        for number in range(8):
            assert sign_in(replicas[number % 2], "wrong", **home).status_code == 429
        assert [sign_in(each, **home).status_code for each in (other, one)] == [429, 429]
