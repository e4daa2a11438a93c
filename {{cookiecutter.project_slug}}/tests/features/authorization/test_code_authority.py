"""What a code stands on, as it is by the time of the exchange: the session, the roles, the sign-in and the client."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from pydantic import SecretStr
from sqlalchemy import select, update

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.authorization.models import AuthorizationCode
from app.features.oauth.clients.service import ClientService
from app.features.oauth.grants import GrantTable
from app.features.oauth.schemas import TokenForm
from app.features.sessions.devices import Client
from app.features.signin.service import RefusedGrant
from tests.conftest import StartService
from tests.features.authorization.steps import VERIFIER, code_for, exchange
from tests.support.api.account_mail import Post
from tests.support.api.oauth import CALLBACK, error_of, register
from tests.support.records.mail import Mailbox
from tests.support.service import Person, Service, Tokens, tokens_of

pytestmark = pytest.mark.anyio


async def change_password(service: Service, person: Person, browser: Tokens) -> None:
    """From another session, which ends the one of the browser."""
    other = await service.sign_in(person)
    body = {"current_password": person.password, "new_password": "another " + person.password}
    answer = await service.client.post("/api/v1/users/me/password", json=body, headers=other.bearer)
    assert (answer.status_code, (await service.whoami(browser)).status_code) == (204, 401)


async def disable(service: Service, person: Person, browser: Tokens) -> None:
    """By an administrator."""
    _, admin = await service.signed_in(Role.ADMIN)
    body = {"disabled": True}
    answer = await service.client.patch(f"/api/v1/users/{person.id}", json=body, headers=admin.bearer)
    assert answer.status_code == 200


async def change_roles(service: Service, person: Person, browser: Tokens) -> None:
    """By an administrator."""
    _, admin = await service.signed_in(Role.ADMIN)
    body = {"roles": ["auditor"]}
    answer = await service.client.put(f"/api/v1/users/{person.id}/roles", json=body, headers=admin.bearer)
    assert answer.status_code == 200


async def delete(service: Service, person: Person, browser: Tokens) -> None:
    """By an administrator."""
    _, admin = await service.signed_in(Role.ADMIN)
    assert (await service.client.delete(f"/api/v1/users/{person.id}", headers=admin.bearer)).status_code == 204


async def sign_out(service: Service, person: Person, browser: Tokens) -> None:
    """By the browser itself."""
    await service.client.post("/oauth/revoke", data={"token": browser.refresh}, headers=browser.bearer)


@pytest.mark.asvs("7.4.1", "7.4.2", "7.4.3")
@pytest.mark.parametrize(
    "happens", [change_password, disable, change_roles, delete, sign_out], ids=lambda happens: happens.__name__
)
async def test_a_code_dies_with_what_it_stands_on(service: Service, happens: Any) -> None:
    """What ends the session of the browser ends the codes that it approved."""
    client, (person, browser) = await register(service), await service.signed_in()
    code = await code_for(service, client, browser)
    await happens(service, person, browser)
    assert error_of(await exchange(service, client, code)) == (400, "invalid_grant")


async def test_a_code_dies_with_the_address_of_its_user(service: Service, mailbox: Mailbox) -> None:
    """The session that approved it goes on; a code that was used keeps watch over what it was used for."""
    client, (person, browser) = await register(service), await service.signed_in()
    used = await code_for(service, client, browser)
    first = tokens_of(await exchange(service, client, used))
    code, post, new = await code_for(service, client, browser), Post(service, mailbox), "new@people.example"
    body = {"new_email": new, "current_password": person.password}
    assert (await post("/users/me/email", body, headers=browser.bearer)).status_code == 202
    assert (await post("/accounts/email/confirm", {"token": await post.token(new)})).status_code == 204
    assert error_of(await exchange(service, client, code)) == (400, "invalid_grant")
    assert [(await service.whoami(tokens)).status_code for tokens in (browser, first)] == [200, 200]
    assert error_of(await exchange(service, client, used)) == (400, "invalid_grant")
    assert (await service.whoami(first)).status_code == 401


async def test_a_code_dies_with_its_client(service: Service) -> None:
    """Removed, it is nobody; with another secret, the old one does not help."""
    client, other, (_, browser) = await register(service), await register(service), await service.signed_in()
    codes = [await code_for(service, each, browser) for each in (client, other)]
    await service[ClientService].remove(None, client.client.id)
    await service[ClientService].rotate_secret(None, other.client.id)
    for each, code in zip((client, other), codes, strict=True):
        assert error_of(await exchange(service, each, code)) == (401, "invalid_client")
    async with service[Database].read() as db:
        assert len((await db.scalars(select(AuthorizationCode.code_hash))).all()) == 1


async def test_a_secret_that_was_changed_meanwhile_gets_nothing(service: Service) -> None:
    """The client authenticated a moment ago, with what is the old secret by now."""
    client, (_, browser) = await register(service), await service.signed_in()
    code = await code_for(service, client, browser)
    await service[ClientService].rotate_secret(None, client.client.id)
    form = TokenForm(
        grant_type="authorization_code",
        code=SecretStr(code),
        redirect_uri=CALLBACK,
        code_verifier=SecretStr(VERIFIER),
    )
    with pytest.raises(RefusedGrant):
        await service[GrantTable]["authorization_code"](form, client.client, Client("127.0.0.1", "test"))


@pytest.mark.asvs("10.4.11", "8.2.1")
async def test_nobody_grants_more_than_they_may_do(service: Service) -> None:
    """The scope is what is asked for, as far as the user's roles, and the session that approves, allow it."""
    client = await register(service, scope="account:read users:read users:write")
    for role, scope in ((Role.MEMBER, "account:read"), (Role.AUDITOR, "account:read users:read")):
        _, browser = await service.signed_in(role)
        answer = await exchange(service, client, await code_for(service, client, browser, scope=None))
        assert answer.json()["scope"] == scope
    _, browser = await service.signed_in(Role.AUDITOR)
    narrow = Tokens((await service.refresh(browser.refresh, scope="account:read")).json()["access_token"], "")
    answer = await exchange(service, client, await code_for(service, client, narrow, scope=None))
    assert answer.json()["scope"] == "account:read"


async def test_roles_that_shrank_behind_the_service_s_back_count(service: Service) -> None:
    """The scope is cut at the exchange once more; where nothing is left of it, nothing is given."""
    client, (_, browser) = await register(service, scope="users:read"), await service.signed_in(Role.AUDITOR)
    code = await code_for(service, client, browser, scope="users:read")
    async with service[Database].transaction() as db:
        await db.execute(update(AuthorizationCode).values(scope="users:write"))
    assert error_of(await exchange(service, client, code)) == (400, "invalid_scope")


@pytest.mark.asvs("7.5.3")
async def test_the_sign_in_is_as_old_as_it_was(service: Service) -> None:
    """A code makes nobody recent: what asks for a recent sign-in looks at that of the browser."""
    client = await register(service, scope="clients:write account:read")
    _, browser = await service.signed_in(Role.ADMIN)
    with time_machine.travel(utc_now() + timedelta(minutes=9), tick=False):
        code = await code_for(service, client, browser, scope=None)
        tokens = tokens_of(await exchange(service, client, code))
    with time_machine.travel(utc_now() + timedelta(minutes=16), tick=False):
        answer = await service.client.post("/api/v1/clients", json={}, headers=tokens.bearer)
        assert answer.status_code == 401
        assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]


@pytest.mark.asvs("6.3.1")
async def test_the_server_of_a_client_is_no_home_of_its_users(start: StartService) -> None:
    """It exchanged a code for them: over the limit, not even the right password gets in from there."""
    server, home = {"X-Forwarded-For": "203.0.113.80"}, {"X-Forwarded-For": "192.0.2.1"}
    async with start(rate_limit_signin="3/hour", trusted_proxies="127.0.0.1") as service:
        client, person = await register(service), await service.person()
        browser = await service.sign_in(person, headers=home)
        code = await code_for(service, client, browser)
        assert (await exchange(service, client, code, headers=client.basic | server)).status_code == 200
        for number in range(3):
            elsewhere = {"X-Forwarded-For": f"198.51.100.{number}"}
            assert (await service.try_sign_in(person.email, "wrong", headers=elsewhere)).status_code == 401
        assert (await service.try_sign_in(person.email, person.password, headers=server)).status_code == 429
        await service.sign_in(person, headers=home)
