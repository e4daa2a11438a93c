"""An account with passkeys and without a password: what stands in for the password, and what never goes."""

import asyncio

import pytest
import time_machine
from sqlalchemy import select

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.accounts.models import User
from tests.features.factors.passkeys.steps import (
    Owner,
    add_passkey,
    answer_by,
    asked,
    options_of,
    sign_in_with_passkey,
    with_passkey,
)
from tests.features.factors.steps import FACTORS, enrol, told
from tests.support.api.account_mail import TOKEN
from tests.support.records.mail import Mailbox
from tests.support.service import Service, Tokens, tokens_of

pytestmark = pytest.mark.anyio

PASSWORD = "/api/v1/users/me/password"


async def alone(service: Service, *roles: Role) -> tuple[Owner, Tokens]:
    """Somebody who has a passkey, who has dropped the password, and who has signed in anew."""
    owner = await add_passkey(service, *await service.signed_in(*roles), counts=False)
    answer = await service.client.delete(PASSWORD, headers=owner.tokens.bearer)
    assert answer.status_code == 204, answer.text
    return owner, await sign_in_with_passkey(service, owner)


@pytest.mark.asvs("6.3.7", "7.4.3")
async def test_a_dropped_password_is_stored_nowhere_and_opens_nothing(service: Service, mailbox: Mailbox) -> None:
    """Every other session ends, the owner is told; the password is as good as a wrong one, and the passkey signs in."""
    owner = await with_passkey(service)
    other = await sign_in_with_passkey(service, owner)
    assert (await service.client.delete(PASSWORD, headers=owner.tokens.bearer)).status_code == 204
    assert (await service.whoami(other)).status_code == 401
    assert (await service.whoami(owner.tokens)).status_code == 200
    async with service[Database].read() as db:
        assert await db.scalar(select(User.password_hash).where(User.id == owner.person.id)) is None
    assert "passkeys alone" in await told(mailbox, owner.person.email, "was removed")
    right = await service.try_sign_in(owner.person.email, owner.person.password)
    wrong = await service.try_sign_in((await service.person()).email, "not the password at all")
    assert (right.status_code, right.json()["detail"]) == (wrong.status_code, wrong.json()["detail"])
    await sign_in_with_passkey(service, owner)


@pytest.mark.asvs("7.5.1")
async def test_who_has_proved_no_passkey_in_this_session_drops_no_password(service: Service) -> None:
    """Neither without a passkey, nor with another factor; nor once the sign-in is 15 minutes old."""
    with time_machine.travel(utc_now(), tick=False) as clock:
        person, tokens = await service.signed_in()
        assert (await service.client.delete(PASSWORD, headers=tokens.bearer)).status_code == 409
        enrolled = await enrol(service, person, tokens)
        assert (await service.client.delete(PASSWORD, headers=tokens.bearer)).status_code == 409
        owner = await add_passkey(service, person, tokens)
        challenge = await asked(service, person)
        body = {"challenge": challenge["challenge"], "kind": "totp", "code": enrolled.app.code()}
        by_app = (await service.client.post("/api/v1/signin/factor", json=body)).json()["access_token"]
        refused = await service.client.delete(PASSWORD, headers={"Authorization": f"Bearer {by_app}"})
        assert refused.status_code == 409
        by_passkey = await sign_in_with_passkey(service, owner)
        clock.shift(15 * 60 + 1)
        renewed = (await service.refresh(by_passkey.refresh)).json()["access_token"]
        late = await service.client.delete(PASSWORD, headers={"Authorization": f"Bearer {renewed}"})
        assert late.status_code == 401


@pytest.mark.asvs("7.5.1")
@pytest.mark.parametrize("by", ["adding it", "signing in with it", "signing in with it after the password"])
async def test_a_passkey_is_proved_by_adding_it_and_by_using_it(service: Service, by: str) -> None:
    """Each verifies the user: a session that has proved one can drop the password."""
    owner = await with_passkey(service)
    tokens = owner.tokens
    if by != "adding it":
        challenge = await asked(service, owner.person if "after" in by else None)
        tokens = tokens_of(await answer_by(service, challenge, owner.passkey.get(options_of(challenge))))
    assert (await service.client.delete(PASSWORD, headers=tokens.bearer)).status_code == 204


@pytest.mark.asvs("6.2.3", "7.5.1")
async def test_a_recent_sign_in_with_the_passkey_stands_in_for_the_password(service: Service) -> None:
    """To change the address, to set a password, to delete the account; one that is older does not, nor a guess."""
    with time_machine.travel(utc_now(), tick=False) as clock:
        owner, tokens = await alone(service)
        new = {"new_email": "another@people.example"}
        email = "/api/v1/users/me/email"
        assert (await service.client.post(email, json=new, headers=tokens.bearer)).status_code == 202
        clock.shift(15 * 60 + 1)
        renewed = (await service.refresh(tokens.refresh)).json()["access_token"]
        old = {"Authorization": f"Bearer {renewed}"}
        assert (await service.client.post(email, json=new, headers=old)).status_code == 401
        tokens = await sign_in_with_passkey(service, owner)
        change = {"new_password": "unrelated words of a song"}
        assert (await service.client.post(PASSWORD, json=change, headers=tokens.bearer)).status_code == 204
        assert (await service.client.post(PASSWORD, json=change, headers=tokens.bearer)).status_code == 422
        challenge = await service.try_sign_in(owner.person.email, change["new_password"])
        assert challenge.json()["status"] == "factor_required"
    owner, tokens = await alone(service)
    gone = await service.client.request("DELETE", "/api/v1/users/me", json={}, headers=tokens.bearer)
    assert gone.status_code == 204


async def test_who_has_a_password_is_still_asked_for_it(service: Service) -> None:
    """A sign-in with a passkey stands in for no password that there is."""
    owner = await with_passkey(service)
    tokens = await sign_in_with_passkey(service, owner)
    for method, path, body in (
        ("POST", PASSWORD, {"new_password": "unrelated words of a song"}),
        ("POST", "/api/v1/users/me/email", {"new_email": "another@people.example"}),
        ("DELETE", "/api/v1/users/me", {}),
    ):
        answer = await service.client.request(method, path, json=body, headers=tokens.bearer)
        assert (answer.status_code, answer.json()["detail"]) == (422, "The current password is missing.")


@pytest.mark.asvs("6.5.6")
async def test_the_last_passkey_stays_while_there_is_no_password(service: Service) -> None:
    """The answer says what to do; of two, removed at once, one stays; an app is no way in by itself."""
    owner, tokens = await alone(service)
    path = f"{FACTORS}/{owner.factor_id}"
    await enrol(service, owner.person, tokens)
    refused = await service.client.delete(path, headers=tokens.bearer)
    assert (refused.status_code, "only way to sign in" in refused.json()["detail"]) == (409, True)
    second = await add_passkey(service, owner.person, tokens)
    both = [f"{FACTORS}/{each.factor_id}" for each in (owner, second)]
    answers = await asyncio.gather(*(service.client.delete(each, headers=tokens.bearer) for each in both * 5))
    assert [answer.status_code for answer in answers].count(204) == 1
    listed = (await service.client.get(FACTORS, headers=tokens.bearer)).json()["items"]
    assert [item["kind"] for item in listed].count("passkey") == 1


@pytest.mark.asvs("6.4.3", "6.3.6")
async def test_a_reset_by_mail_sets_a_password_and_keeps_the_passkey_as_second_factor(
    service: Service, mailbox: Mailbox
) -> None:
    """Who reads the mail is not signed in by that: the new password asks for the passkey."""
    owner, _ = await alone(service)
    await service.client.post("/api/v1/accounts/password/forgot", json={"email": owner.person.email})
    (token,) = {*TOKEN.findall(await told(mailbox, owner.person.email, "pwr_"))}
    body = {"token": token, "new_password": "unrelated words of a song"}
    assert (await service.client.post("/api/v1/accounts/password/reset", json=body)).status_code == 204
    challenge = (await service.try_sign_in(owner.person.email, body["new_password"])).json()
    assert challenge["status"] == "factor_required"
    answer = await answer_by(service, challenge, owner.passkey.get(options_of(challenge)))
    assert answer.status_code == 200


@pytest.mark.asvs("8.3.1")
async def test_the_last_administrator_stays_without_a_password(service: Service) -> None:
    """Neither deletion, nor other roles, nor disabling takes the only one, who signs in with a passkey alone."""
    owner, tokens = await alone(service, Role.ADMIN)
    own = f"/api/v1/users/{owner.person.id}"
    for method, path, body in (
        ("DELETE", "/api/v1/users/me", {}),
        ("DELETE", own, None),
        ("PATCH", own, {"disabled": True}),
        ("PUT", f"{own}/roles", {"roles": ["member"]}),
    ):
        answer = await service.client.request(method, path, json=body, headers=tokens.bearer)
        assert (answer.status_code, "last administrator" in answer.json()["detail"]) == (409, True), (method, path)
    assert Role.ADMIN in (await service.whoami(tokens)).json()["roles"]
    await service.person(Role.ADMIN)
    gone = await service.client.request("DELETE", "/api/v1/users/me", json={}, headers=tokens.bearer)
    assert gone.status_code == 204


async def test_an_administrator_who_resets_the_factors_leaves_the_mail(service: Service, mailbox: Mailbox) -> None:
    """Of an account without a password, too: its owner sets one by mail."""
    (owner, _), (_, admin) = await alone(service), await service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{owner.person.id}/factors"
    assert (await service.client.delete(path, headers=admin.bearer)).status_code == 204
    await service.client.post("/api/v1/accounts/password/forgot", json={"email": owner.person.email})
    assert await told(mailbox, owner.person.email, "pwr_")
