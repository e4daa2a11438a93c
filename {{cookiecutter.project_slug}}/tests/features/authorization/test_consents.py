"""What users allow clients: asked for once, listed, and taken back."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine

from app.core.errors import NotFound
from app.features.authorization.requests import RefusedRequest, RequestReader
from app.features.authorization.service import AuthorizationService
from app.features.oauth.clients.service import ClientService
from tests.conftest import PUBLIC_URL
from tests.features.authorization.steps import (
    ORIGIN,
    STATE,
    approve,
    code_for,
    exchange,
    parameters,
    principal_of,
    query,
)
from tests.support.api.oauth import Registered, error_of, register
from tests.support.records.trail import stored
from tests.support.service import Service, Tokens, tokens_of

pytestmark = pytest.mark.anyio


def authorization(service: Service) -> AuthorizationService:
    """The service under test."""
    wired: AuthorizationService = service[AuthorizationService]
    return wired


async def is_asked(service: Service, browser: Tokens, client: Registered, **changes: str | None) -> bool:
    """Whether the user is asked."""
    request = await service[RequestReader].read(query(client, **changes))
    return await authorization(service).needs_consent(await principal_of(service, browser), request)


@pytest.mark.asvs("10.7.1")
async def test_a_user_is_asked_for_what_they_have_not_allowed_yet(service: Service) -> None:
    """Once for a scope, again for more, not for less; each user and each client apart."""
    client, other = await register(service), await register(service)
    (_, browser), (_, strangers) = await service.signed_in(), await service.signed_in()
    assert await is_asked(service, browser, client)
    await approve(service, client, browser, scope="account:read")
    assert not await is_asked(service, browser, client)
    assert await is_asked(service, browser, client, scope=None)
    await approve(service, client, browser, scope="account:write")
    assert not await is_asked(service, browser, client, scope=None)
    assert await is_asked(service, strangers, client)
    assert await is_asked(service, browser, other)


async def test_nobody_is_asked_about_a_client_of_the_service_s_own(service: Service) -> None:
    """And nothing is remembered, for there is nothing to take back."""
    client, (person, browser) = await register(service, first_party=True), await service.signed_in()
    assert not await is_asked(service, browser, client)
    await approve(service, client, browser)
    assert await authorization(service).consents(person.id) == []


@pytest.mark.asvs("10.7.1")
async def test_a_client_that_anybody_could_pretend_to_be_is_asked_about_every_time(service: Service) -> None:
    """A public client behind a loopback port or a private scheme (RFC 8252 section 8.6); one with a secret is not."""
    _, browser = await service.signed_in()
    for uri in ("http://127.0.0.1/cb", "com.example.app:/cb"):
        for confidential in (False, True):
            client = await register(service, confidential=confidential, redirect_uris=[uri])
            await approve(service, client, browser, redirect_uri=uri)
            assert await is_asked(service, browser, client, redirect_uri=uri) is not confidential


@pytest.mark.asvs("10.7.3", "10.4.9")
async def test_consents_are_listed_and_taken_back(service: Service) -> None:
    """What the client had of this user ends: sessions and codes; others' do not, and the user is asked again."""
    client, other = await register(service, name="One"), await register(service, name="Two")
    person, browser = await service.signed_in()
    _, stranger = await service.signed_in()
    mine = tokens_of(await exchange(service, client, await code_for(service, client, browser)))
    kept = [
        tokens_of(await exchange(service, each, await code_for(service, each, who)))
        for each, who in ((other, browser), (client, stranger))
    ]
    code = await code_for(service, client, browser)
    listed = await authorization(service).consents(person.id)
    assert [(consent.client.name, consent.scope) for consent in listed] == [
        ("Two", "account:read"),
        ("One", "account:read"),
    ]
    await authorization(service).revoke_consent(await principal_of(service, browser), listed[1].id)
    assert [consent.client.name for consent in await authorization(service).consents(person.id)] == ["Two"]
    assert (await service.whoami(mine)).status_code == 401
    assert error_of(await exchange(service, client, code)) == (400, "invalid_grant")
    assert [(await service.whoami(tokens)).status_code for tokens in (*kept, browser)] == [200, 200, 200]
    assert await is_asked(service, browser, client)


@pytest.mark.asvs("8.2.2")
async def test_nobody_takes_back_what_somebody_else_allowed(service: Service) -> None:
    """It is not there, as one that never was."""
    client, (person, browser), (stranger, other) = (
        await register(service),
        await service.signed_in(),
        await service.signed_in(),
    )
    tokens = tokens_of(await exchange(service, client, await code_for(service, client, browser)))
    (consent,) = await authorization(service).consents(person.id)
    for mine, consent_id in ((other, consent.id), (browser, uuid4())):
        with pytest.raises(NotFound):
            await authorization(service).revoke_consent(await principal_of(service, mine), consent_id)
    assert (await service.whoami(tokens)).status_code == 200
    assert await authorization(service).consents(stranger.id) == []


async def test_consents_go_with_their_client(service: Service) -> None:
    """Nothing is left to list."""
    client, (person, browser) = await register(service), await service.signed_in()
    await approve(service, client, browser)
    await service[ClientService].remove(None, client.client.id)
    assert await authorization(service).consents(person.id) == []


@pytest.mark.asvs("16.3.1", "16.2.1")
async def test_what_is_allowed_and_taken_back_is_on_record(service: Service) -> None:
    """Who, which client, what scope; once, however often nothing new is allowed."""
    client, (person, browser) = await register(service), await service.signed_in()
    await asyncio.gather(*(approve(service, client, browser) for _ in range(5)))
    (consent,) = await authorization(service).consents(person.id)
    await authorization(service).revoke_consent(await principal_of(service, browser), consent.id)
    rows = [row for row in await stored(service) if row["action"].startswith("consent_")]
    assert [row["action"] for row in rows] == ["consent_given", "consent_revoked"]
    for row in rows:
        assert (row["actor_id"], row["target_type"], row["target_id"]) == (person.id, "client", str(client.client.id))
    assert "account:read" in rows[0]["details"]


async def test_a_user_who_says_no_is_told_to_the_client(service: Service) -> None:
    """RFC 6749 section 4.1.2.1; nothing is remembered."""
    client, (_, browser) = await register(service), await service.signed_in()
    request = await service[RequestReader].read(query(client))
    _, told = parameters(request.answer(error="access_denied"))
    assert told == {"error": "access_denied", "state": STATE, "iss": PUBLIC_URL}
    assert await is_asked(service, browser, client)


async def test_nothing_is_approved_for_who_is_gone_by_then(service: Service) -> None:
    """A session that ended, or a client that was removed, while the page was open."""
    client, other = await register(service), await register(service)
    _, browser = await service.signed_in()
    principal = await principal_of(service, browser)
    requests = [await service[RequestReader].read(query(each)) for each in (client, other)]
    await service[ClientService].remove(None, other.client.id)
    _, told = parameters(await authorization(service).approve(principal, requests[1], ORIGIN, asked=True))
    assert told["error"] == "access_denied"
    await service.client.post("/oauth/revoke", data={"token": browser.refresh}, headers=browser.bearer)
    _, told = parameters(await authorization(service).approve(principal, requests[0], ORIGIN, asked=True))
    assert told["error"] == "access_denied"


async def test_a_user_who_may_do_nothing_of_it_gives_nothing(service: Service) -> None:
    """`invalid_scope`, and no code without a scope."""
    client, (_, browser) = await register(service, scope="users:write"), await service.signed_in()
    with pytest.raises(RefusedRequest) as refusal:
        await approve(service, client, browser, scope="users:write")
    assert refusal.value.error == "invalid_scope"


@pytest.mark.asvs("10.3.4")
async def test_a_client_can_ask_for_a_recent_sign_in(service: Service) -> None:
    """RFC 9470: the page asks again, and a few minutes later no code is given for an older one."""
    client, (_, browser) = await register(service), await service.signed_in()
    principal = await principal_of(service, browser)
    requests = [await service[RequestReader].read(query(client, max_age=age)) for age in (None, "600", "70", "60", "0")]
    begin = principal.authenticated_at
    for seconds, asked, given in ((59, [0] * 5, 5), (61, [0, 0, 0, 1, 1], 5), (371, [0, 0, 1, 1, 1], 2)):
        with time_machine.travel(begin + timedelta(seconds=seconds), tick=False):
            needs = [authorization(service).needs_sign_in(request, begin) for request in requests]
            assert needs == [bool(number) for number in asked]
            for number, request in enumerate(requests):
                if number < given:
                    assert "code=" in await authorization(service).approve(principal, request, ORIGIN, asked=True)
                    continue
                with pytest.raises(RefusedRequest) as refusal:
                    await authorization(service).approve(principal, request, ORIGIN, asked=True)
                assert refusal.value.error == "login_required"
