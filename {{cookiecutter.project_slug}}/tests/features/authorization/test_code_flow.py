"""A code against tokens: once, soon, and by the client that it is for."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.authorization.models import AuthorizationCode
from tests.conftest import PUBLIC_URL, StartService
from tests.features.authorization.steps import STATE, VERIFIER, approve, challenge_of, code_for, exchange
from tests.support.api.oauth import ask_token, error_of, introspect, register, register_machine
from tests.support.records.trail import stored
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

INVALID = (400, "invalid_grant")


@pytest.mark.parametrize("confidential", [True, False], ids=["confidential", "public"])
async def test_a_code_becomes_tokens_that_work(service: Service, *, confidential: bool) -> None:
    """What was asked for and no more, for the user who agreed, bound to the client; they refresh, too."""
    client = await register(service, confidential=confidential)
    person, browser = await service.signed_in()
    told = await approve(service, client, browser)
    assert set(told) == {"code", "state", "iss"}
    assert (told["state"], told["iss"]) == (STATE, PUBLIC_URL)
    answer = await exchange(service, client, told["code"])
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert body["scope"] == "account:read"
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = tokens_of(answer)
    assert (await service.whoami(tokens)).json()["id"] == str(person.id)
    refused = await service.client.patch("/api/v1/users/me", json={"display_name": "X"}, headers=tokens.bearer)
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh} | client.form
    assert (await ask_token(service, None, **form)).json()["scope"] == "account:read"
    items = (await service.client.get("/api/v1/sessions", headers=browser.bearer)).json()["items"]
    assert {item["client_id"] for item in items} == {None, client.client_id}


@pytest.mark.asvs("10.4.2")
async def test_a_second_use_ends_what_the_first_one_got(service: Service) -> None:
    """Although its own answer is an error; the browser's session and other sessions of the client go on."""
    client, (_, browser) = await register(service), await service.signed_in()
    other = tokens_of(await exchange(service, client, await code_for(service, client, browser)))
    code = await code_for(service, client, browser)
    first = tokens_of(await exchange(service, client, code))
    renewed = tokens_of(await ask_token(service, client.basic, grant_type="refresh_token", refresh_token=first.refresh))
    assert error_of(await exchange(service, client, code)) == INVALID
    assert [(await service.whoami(tokens)).status_code for tokens in (first, renewed, browser, other)] == [
        401,
        401,
        200,
        200,
    ]
    form = {"grant_type": "refresh_token", "refresh_token": renewed.refresh}
    assert error_of(await ask_token(service, client.basic, **form)) == INVALID
    rows = {row["action"]: row for row in await stored(service)}
    assert rows["code_reused"]["outcome"] == "denied"
    assert '"reason":"authorization code reused"' in rows["session_ended"]["details"]
    assert rows["code_reused"]["session_id"] == rows["token_refreshed"]["session_id"]


@pytest.mark.asvs("10.4.2")
async def test_a_second_use_counts_whenever_it_comes(service: Service) -> None:
    """Long after the code would have expired, and when the browser has signed out."""
    client, (person, browser) = await register(service), await service.signed_in()
    code = await code_for(service, client, browser)
    first = tokens_of(await exchange(service, client, code))
    own = await service.sign_in(person)
    await service.client.delete("/api/v1/sessions", headers=first.bearer)
    await service.client.post("/oauth/revoke", data={"token": browser.refresh}, headers=own.bearer)
    assert (await service.whoami(browser)).status_code == 401
    with time_machine.travel(utc_now() + timedelta(minutes=5), tick=False):
        assert (await service.whoami(first)).status_code == 200
        assert error_of(await exchange(service, client, code)) == INVALID
        assert (await service.whoami(first)).status_code == 401


@pytest.mark.asvs("10.4.2", "10.4.6")
@pytest.mark.parametrize("confidential", [True, False], ids=["confidential", "public"])
@pytest.mark.parametrize("verifier", ["A" * 43, VERIFIER[:-1], "not a verifier"])
async def test_who_does_not_know_the_verifier_ends_nobody_s_session(
    service: Service, verifier: str, *, confidential: bool
) -> None:
    """A code that was seen on its way is used, and opens nothing: the attempt is on record, and the owner goes on."""
    client, (_, browser) = await register(service, confidential=confidential), await service.signed_in()
    code = await code_for(service, client, browser)
    first = tokens_of(await exchange(service, client, code))
    assert error_of(await exchange(service, client, code, code_verifier=verifier)) == INVALID
    assert (await service.whoami(first)).status_code == 200
    (row,) = [row for row in await stored(service) if row["action"] == "code_reused"]
    assert row["outcome"] == "denied"
    assert '"ended":false' in row["details"]
    assert error_of(await exchange(service, client, code)) == INVALID
    assert (await service.whoami(first)).status_code == 401


@pytest.mark.asvs("10.4.2", "2.3.4")
async def test_of_twenty_parallel_uses_one_succeeds(service: Service) -> None:
    """And what it got is dead, for the others were a second use."""
    client, (_, browser) = await register(service), await service.signed_in()
    code = await code_for(service, client, browser)
    answers = await asyncio.gather(*(exchange(service, client, code) for _ in range(20)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {error_of(answer) for answer in answers if answer.status_code != 200} == {INVALID}
    assert (await service.whoami(tokens_of(won[0]))).status_code == 401


@pytest.mark.asvs("10.4.3")
@pytest.mark.parametrize(("seconds", "alive"), [(59, True), (60, False), (61, False), (3600, False)])
async def test_a_code_lives_for_a_minute(service: Service, seconds: int, *, alive: bool) -> None:
    """And not for one second more."""
    client, (_, browser) = await register(service), await service.signed_in()
    with time_machine.travel(utc_now(), tick=False) as clock:
        code = await code_for(service, client, browser)
        clock.shift(seconds)
        answer = await exchange(service, client, code)
    assert answer.status_code == (200 if alive else 400)


@pytest.mark.asvs("10.4.6", "10.4.1")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": "A" * 43}, "invalid_grant"),
        ({"code_verifier": VERIFIER[:-1]}, "invalid_grant"),
        ({"code_verifier": VERIFIER + "A"}, "invalid_grant"),
        ({"code_verifier": VERIFIER[:42]}, "invalid_grant"),
        ({"code_verifier": VERIFIER + "~" * 128}, "invalid_grant"),
        ({"code_verifier": challenge_of(VERIFIER)}, "invalid_grant"),
        ({"code_verifier": f" {VERIFIER}"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "https://app.example/callback/"}, "invalid_grant"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"code": "ac_" + "A" * 43}, "invalid_grant"),
        ({"code": "x" * 3000}, "invalid_grant"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_what_does_not_fit_gets_nothing_and_spoils_nothing(
    service: Service, changes: dict[str, Any], error: str
) -> None:
    """A code in the wrong hands can be neither used nor used up."""
    client, (_, browser) = await register(service, confidential=False), await service.signed_in()
    code = await code_for(service, client, browser)
    assert error_of(await exchange(service, client, code, **changes)) == (400, error)
    refused = [row["target_id"] for row in await stored(service) if row["action"] == "token_refused"]
    if error == "invalid_grant":
        assert refused == [str(client.client.id)]
    assert (await exchange(service, client, code)).status_code == 200


@pytest.mark.asvs("10.4.6", "10.4.10")
async def test_a_code_of_one_client_is_nothing_to_another(service: Service) -> None:
    """Injected at another client, a public one, one with the same address, or none at all; its own still uses it."""
    client, (_, browser) = await register(service), await service.signed_in()
    other, public = await register(service), await register(service, confidential=False)
    machine = await register_machine(service)
    code = await code_for(service, client, browser)
    for thief, expected in (
        (other, INVALID),
        (public, INVALID),
        (machine, (400, "unauthorized_client")),
        (None, (401, "invalid_client")),
    ):
        assert error_of(await exchange(service, thief, code)) == expected
    unshown = await exchange(service, None, code, client_id=client.client_id)
    assert error_of(unshown) == (401, "invalid_client")
    mixed = await exchange(service, None, code, headers=other.basic, client_id=client.client_id)
    assert error_of(mixed) == (400, "invalid_request")
    tokens = tokens_of(await exchange(service, client, code))
    # Used by now: at another client it ends nothing either.
    assert error_of(await exchange(service, other, code)) == INVALID
    assert (await service.whoami(tokens)).status_code == 200


async def test_without_the_grant_there_is_no_refresh_token(service: Service) -> None:
    """And the session is over when the access token is."""
    client, (_, browser) = await register(service, grants=["authorization_code"]), await service.signed_in()
    answer = await exchange(service, client, await code_for(service, client, browser))
    assert set(answer.json()) == {"access_token", "token_type", "expires_in", "scope"}
    token = answer.json()["access_token"]
    assert (await introspect(service, token, client.basic))["active"] is True
    with time_machine.travel(utc_now() + timedelta(minutes=11), tick=False):
        _, later = await service.signed_in()
        assert (await service.whoami(later)).status_code == 200
        assert await introspect(service, token, client.basic) == {"active": False}


@pytest.mark.asvs("11.5.1")
async def test_a_code_is_long_random_and_stored_as_its_digest(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """No row and no log line holds it."""
    client, (_, browser) = await register(service), await service.signed_in()
    codes = [await code_for(service, client, browser) for _ in range(3)]
    assert len(set(codes)) == 3
    await exchange(service, client, codes[0])
    await exchange(service, client, codes[0])
    async with service[Database].read() as db:
        rows = str((await db.execute(select(*AuthorizationCode.__table__.columns))).all())
    told = rows + str(await stored(service)) + capsys.readouterr().out
    for code in codes:
        assert len(code) == len("ac_") + 43
        assert code not in told
    assert VERIFIER not in told


@pytest.mark.asvs("7.1.2")
async def test_an_application_ends_no_sign_in_of_its_user(start: StartService) -> None:
    """`SESSIONS_PER_USER` counts for each client apart: its own oldest session ends, and no sign-in nor another's."""
    async with start(sessions_per_user=3) as service:
        client, other = await register(service), await register(service)
        person, browser = await service.signed_in()
        second = await service.sign_in(person)
        kept = tokens_of(await exchange(service, other, await code_for(service, other, browser)))
        taken = [tokens_of(await exchange(service, client, await code_for(service, client, browser))) for _ in range(4)]
        found = [(await service.whoami(tokens)).status_code for tokens in (browser, second, kept, *taken)]
        assert found == [200, 200, 200, 401, 200, 200, 200]
