"""`/oauth/introspect`: what a token is worth, for who may know (RFC 7662)."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine

from app.access.roles import Role
from app.core.clock import utc_now
from tests.conftest import PUBLIC_URL
from tests.support.api.oauth import error_of, introspect, issue_to, machine_token, register, register_machine
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio

INACTIVE = {"active": False}


@pytest.mark.asvs("9.2.4")
async def test_a_client_learns_what_an_access_token_says(service: Service) -> None:
    """Every member of RFC 7662 section 2.2 that there is something to say about, of its own tokens."""
    client, person = await register(service), await service.person()
    tokens = await issue_to(service, client, person)
    found = await introspect(service, tokens.access, client.basic)
    assert found["exp"] - found["iat"] == 600
    assert found.pop("jti")
    assert found["iat"] - found["auth_time"] <= 1
    del found["exp"], found["iat"], found["auth_time"]
    assert found == {
        "active": True,
        "scope": "account:read account:write",
        "client_id": client.client_id,
        "token_type": "Bearer",
        "sub": str(person.id),
        "aud": PUBLIC_URL,
        "iss": PUBLIC_URL,
        "amr": ["pwd"],
        "acr": "aal1",
    }


async def test_a_client_learns_nothing_of_tokens_that_others_have(service: Service) -> None:
    """Not of another client's, of whichever kind, nor of the service's own sign-ins: as if they did not hold."""
    client, asking, person = await register(service), await register_machine(service), await service.person()
    issued, own = await issue_to(service, client, person), await service.sign_in(person)
    for token in (issued.access, issued.refresh, own.access, own.refresh):
        assert await introspect(service, token, asking.basic) == INACTIVE
    machine = await machine_token(service, asking)
    assert (await introspect(service, machine.access, asking.basic))["active"] is True
    assert await introspect(service, machine.access, client.basic) == INACTIVE


async def test_a_refresh_token_is_told_apart_from_an_access_token(service: Service) -> None:
    """It has no `token_type` and no audience: who takes bearer tokens takes it for none."""
    client = await register(service)
    tokens = await issue_to(service, client, await service.person())
    found = await introspect(service, tokens.refresh, client.basic)
    assert set(found) == {"active", "scope", "client_id", "exp", "iat", "sub", "iss", "auth_time", "amr", "acr"}
    # The session began in a moment before the token, which may be of the second before.
    assert found["exp"] - found["iat"] in {14 * 24 * 3600 - 1, 14 * 24 * 3600}
    await service.client.post(
        "/oauth/token", data={"grant_type": "refresh_token", "refresh_token": tokens.refresh} | client.form
    )
    assert await introspect(service, tokens.refresh, client.basic) == INACTIVE


@pytest.mark.asvs("10.4.10")
async def test_nobody_else_learns_anything(service: Service) -> None:
    """401 without credentials, and for a public client, which is nobody in particular."""
    public = await register(service, confidential=False)
    tokens = await issue_to(service, public, await service.person())
    for form in ({}, public.form, {"client_id": "first-party"}):
        answer = await service.client.post("/oauth/introspect", data={"token": tokens.access} | form)
        assert error_of(answer) == (401, "invalid_client")
        assert "Basic " in answer.headers["WWW-Authenticate"]


async def test_a_user_learns_about_their_own_tokens_alone(service: Service) -> None:
    """Of whichever client; somebody else's are as if they did not hold."""
    client, person = await register(service), await service.person()
    tokens, own = await issue_to(service, client, person), await service.sign_in(person)
    _, stranger = await service.signed_in(Role.ADMIN)
    for token in (tokens.access, tokens.refresh, own.access, own.refresh):
        assert (await introspect(service, token, own.bearer))["active"] is True
        assert await introspect(service, token, stranger.bearer) == INACTIVE


async def test_what_does_not_hold_is_inactive_whatever_the_reason(service: Service) -> None:
    """Nonsense, expired, signed out, disabled: one answer."""
    client, person = await register(service), await service.person()
    tokens = await issue_to(service, client, person)
    _, admin = await service.signed_in(Role.ADMIN)
    never = ("x", "rt_" + "A" * 43, "rt_short", tokens.access[:-2], tokens.access + ".x", str(uuid4()), "x" * 4000)
    for token in never:
        assert await introspect(service, token, client.basic) == INACTIVE
    nothing = await service.client.post("/oauth/introspect", data={"token": ""}, headers=client.basic)
    assert error_of(nothing) == (400, "invalid_request")
    with time_machine.travel(utc_now() + timedelta(minutes=11), tick=False):
        assert await introspect(service, tokens.access, client.basic) == INACTIVE
        assert (await introspect(service, tokens.refresh, client.basic))["active"] is True
    with time_machine.travel(utc_now() + timedelta(days=15), tick=False):
        assert await introspect(service, tokens.refresh, client.basic) == INACTIVE
    ended = await issue_to(service, client, person)
    await service.client.post("/oauth/revoke", data={"token": ended.access} | client.form)
    for token in (ended.access, ended.refresh):
        assert await introspect(service, token, client.basic) == INACTIVE
    await service.client.patch(f"/api/v1/users/{person.id}", json={"disabled": True}, headers=admin.bearer)
    for token in (tokens.access, tokens.refresh):
        assert await introspect(service, token, client.basic) == INACTIVE


async def test_the_scope_is_what_the_token_can_do_now(service: Service) -> None:
    """What the roles of its owner allow, and no more than its own."""
    client = await register(service, scope="users:read account:read")
    person = await service.person(Role.MEMBER)
    tokens = await issue_to(service, client, person, "account:read users:read")
    for token in (tokens.access, tokens.refresh):
        assert (await introspect(service, token, client.basic))["scope"] == "account:read"


@pytest.mark.asvs("10.3.3")
async def test_a_subject_is_never_somebody_else(service: Service) -> None:
    """An account that is made anew with the same address is another one: what clients had of the first is dead."""
    client, person = await register(service), await service.person(email="ada@people.example")
    tokens = await issue_to(service, client, person)
    before = await introspect(service, tokens.access, client.basic)
    _, admin = await service.signed_in(Role.ADMIN)
    await service.client.delete(f"/api/v1/users/{person.id}", headers=admin.bearer)
    again = await service.person(email="ada@people.example")
    after = await introspect(service, (await issue_to(service, client, again)).access, client.basic)
    assert (before["iss"], before["sub"] == after["sub"]) == (after["iss"], False)
    for token in (tokens.access, tokens.refresh):
        assert await introspect(service, token, client.basic) == INACTIVE


async def test_looking_changes_nothing(service: Service) -> None:
    """A refresh token that was looked at can still be used, once."""
    client, machine = await register(service), await register_machine(service)
    tokens = await issue_to(service, client, await service.person())
    for _ in range(3):
        assert (await introspect(service, tokens.refresh, client.basic))["active"] is True
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh} | client.form
    assert (await service.client.post("/oauth/token", data=form)).status_code == 200
    assert isinstance(await machine_token(service, machine), Tokens)
