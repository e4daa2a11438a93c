"""A refresh token belongs to the client that got it: to anybody else it is nothing, and nothing comes of trying."""

import asyncio

import pytest

from app.features.signin.service import SignInService
from tests.support.api.oauth import ask_token, error_of, issue_to, register
from tests.support.records.trail import actions
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("10.4.5")
async def test_another_client_gets_nothing_uses_nothing_up_and_ends_nothing(service: Service) -> None:
    """Neither another confidential client, a public one, nor the service's own sign-in, with it or its successor."""
    owner, other, public = await register(service), await register(service), await register(service, confidential=False)
    person = await service.person()
    tokens = await issue_to(service, owner, person)
    grant = {"grant_type": "refresh_token"}
    for _ in range(2):
        for headers, form in ((other.basic, {}), ({}, public.form), ({}, {}), ({}, {"client_id": "first-party"})):
            answer = await ask_token(service, headers, **grant, refresh_token=tokens.refresh, **form)
            assert error_of(answer) == (400, "invalid_grant")
        renewed = await ask_token(service, owner.basic, **grant, refresh_token=tokens.refresh)
        assert renewed.status_code == 200
        used, tokens = tokens, tokens_of(renewed)
        # Used by now: at another client not even that is noticed.
        answer = await ask_token(service, other.basic, **grant, refresh_token=used.refresh)
        assert error_of(answer) == (400, "invalid_grant")
    assert (await service.whoami(tokens)).status_code == 200
    assert "token_reused" not in await actions(service)


async def test_tokens_of_the_own_signin_are_no_client_s(service: Service) -> None:
    """A client that has one cannot use it."""
    client = await register(service)
    _, tokens = await service.signed_in()
    answer = await ask_token(service, client.basic, grant_type="refresh_token", refresh_token=tokens.refresh)
    assert error_of(answer) == (400, "invalid_grant")
    answer = await ask_token(
        service, None, grant_type="refresh_token", refresh_token=tokens.refresh, client_id="first-party"
    )
    assert answer.status_code == 200


@pytest.mark.asvs("10.4.5", "2.3.4")
@pytest.mark.parametrize("confidential", [True, False], ids=["confidential", "public"])
async def test_reuse_by_the_client_itself_ends_the_family(service: Service, *, confidential: bool) -> None:
    """One of twenty parallel uses wins, and what it won is dead."""
    client = await register(service, confidential=confidential)
    tokens = await issue_to(service, client, await service.person())
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh} | client.form
    answers = await asyncio.gather(*(ask_token(service, None, **form) for _ in range(20)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert (await service.whoami(tokens_of(won[0]))).status_code == 401


async def test_a_client_without_the_grant_refreshes_nothing(service: Service) -> None:
    """A token that it got nevertheless does not help."""
    client = await register(service, grants=["authorization_code"])
    tokens = await issue_to(service, client, await service.person())
    answer = await ask_token(service, client.basic, grant_type="refresh_token", refresh_token=tokens.refresh)
    assert error_of(answer) == (400, "unauthorized_client")


async def test_a_refresh_keeps_client_and_time_of_the_sign_in(service: Service) -> None:
    """The new token names the client too, and is as old as the sign-in behind it."""
    client = await register(service)
    tokens = await issue_to(service, client, await service.person())
    renewed = tokens_of(
        await ask_token(service, client.basic, grant_type="refresh_token", refresh_token=tokens.refresh)
    )
    found = await service[SignInService].look_at(renewed.access)
    assert found is not None
    assert found.client_id == client.client_id
