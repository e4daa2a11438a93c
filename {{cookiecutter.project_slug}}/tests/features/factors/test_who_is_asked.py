"""Who is asked for what: what an account has, and what the password alone, with a grant too, and a passkey get."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.access.roles import Role
from tests.conftest import StartService
from tests.features.factors.passkeys.steps import Owner, add_passkey, answer_by, asked, options_of
from tests.features.factors.steps import FACTORS, answer_with, challenged, enrol
from tests.support.api.authenticator import Passkey
from tests.support.service import Person, Service

pytestmark = pytest.mark.anyio

SESSION, REFUSED = "a session", "refused"
RESTRICTED = "a session that adds a factor"

Made = tuple[Person, Owner | None]


async def _password(service: Service, *roles: Role) -> Made:
    return await service.person(*roles), None


async def _app(service: Service, *roles: Role) -> Made:
    person, tokens = await service.signed_in(*roles)
    await enrol(service, person, tokens)
    return person, None


async def _app_without_codes(service: Service) -> Made:
    person, tokens = await service.signed_in()
    for code in (await enrol(service, person, tokens)).codes:
        challenge = await challenged(service, person)
        assert (await answer_with(service, challenge, code, "recovery_codes")).status_code == 200
    return person, None


async def _new_codes(service: Service) -> Made:
    person, tokens = await service.signed_in()
    await add_passkey(service, person, tokens)
    answer = await service.client.post(FACTORS, json={"kind": "recovery_codes"}, headers=tokens.bearer)
    assert answer.status_code == 201
    return person, None


async def _passkey(service: Service, *roles: Role) -> Made:
    owner = await add_passkey(service, *await service.signed_in(*roles))
    return owner.person, owner


async def _both(service: Service) -> Made:
    person, tokens = await service.signed_in()
    await enrol(service, person, tokens)
    return person, await add_passkey(service, person, tokens)


async def _passkey_alone(service: Service, *roles: Role) -> Made:
    person, owner = await _passkey(service, *roles)
    assert owner is not None
    gone = await service.client.delete("/api/v1/users/me/password", headers=owner.tokens.bearer)
    assert gone.status_code == 204
    return person, owner


async def _removed(service: Service) -> Made:
    person, tokens = await service.signed_in()
    enrolled = await enrol(service, person, tokens)
    gone = await service.client.delete(f"{FACTORS}/{enrolled.factor_id}", headers=tokens.bearer)
    assert gone.status_code == 204
    return person, None


Row = tuple[Callable[..., Awaitable[Made]], tuple[Role, ...], str, str, str]

TABLE: dict[str, Row] = {
    # what the account has: its roles, and what the password, the password grant and a passkey alone get
    "password": (_password, (), SESSION, SESSION, REFUSED),
    "app": (_app, (), "totp recovery_codes", REFUSED, REFUSED),
    "app, its recovery codes used up": (_app_without_codes, (), "totp recovery_codes", REFUSED, REFUSED),
    "passkey": (_passkey, (), "passkey recovery_codes", REFUSED, SESSION),
    "passkey, new recovery codes": (_new_codes, (), "passkey recovery_codes", REFUSED, REFUSED),
    "app and passkey": (_both, (), "totp recovery_codes passkey", REFUSED, SESSION),
    "passkey, no password": (_passkey_alone, (), REFUSED, REFUSED, SESSION),
    "app, removed": (_removed, (), SESSION, SESSION, REFUSED),
    "a role that demands one, password": (_password, (Role.ADMIN,), RESTRICTED, REFUSED, REFUSED),
    "a role that demands one, app": (_app, (Role.ADMIN,), "totp recovery_codes", REFUSED, REFUSED),
    "a role that demands one, passkey": (_passkey, (Role.ADMIN,), "passkey recovery_codes", REFUSED, SESSION),
    "a role that demands one, no password": (_passkey_alone, (Role.ADMIN,), REFUSED, REFUSED, SESSION),
}


async def _got(service: Service, body: dict[str, Any]) -> str:
    """What an answer is: the kinds that are asked for, or what its tokens open."""
    if "factors" in body:
        return " ".join(each["kind"] for each in body["factors"])
    if "access_token" not in body:
        return REFUSED
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    statuses = [(await service.client.get(path, headers=bearer)).status_code for path in (FACTORS, "/api/v1/users/me")]
    return {(200, 200): SESSION, (200, 403): RESTRICTED}[statuses[0], statuses[1]]


@pytest.mark.asvs("6.3.3", "6.3.4")
@pytest.mark.parametrize("has", TABLE)
async def test_who_is_asked_for_what(start: StartService, has: str) -> None:
    """One exact table, for every way to a session that begins here."""
    make, roles, *expected = TABLE[has]
    async with start(require_second_factor_for="admin", oauth_password_grant=True) as service:
        person, owner = await make(service, *roles)
        form = {"grant_type": "password", "username": person.email, "password": person.password}
        by_password = await service.try_sign_in(person.email, person.password)
        by_grant = await service.client.post("/oauth/token", data={**form, "client_id": "first-party"})
        challenge, passkey = await asked(service), owner.passkey if owner else Passkey(user="AA")
        by_passkey = await answer_by(service, challenge, passkey.get(options_of(challenge)))
        got = [await _got(service, answer.json()) for answer in (by_password, by_grant, by_passkey)]
        assert got == expected
