"""Passkeys: added by what an authenticator makes, used after the password or instead of it, and told of when copied."""

import pytest
import time_machine
from sqlalchemy import select

from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.factors.service import Factor
from tests.conftest import StartService
from tests.features.factors.passkeys.steps import (
    Owner,
    add_credential,
    add_passkey,
    answer_by,
    asked,
    begin_passkey,
    options_of,
    sign_in_with_passkey,
    with_passkey,
)
from tests.features.factors.steps import FACTORS, answer_with, enrol, told
from tests.support.api.authenticator import BACKED_UP, BACKUP_ELIGIBLE, GOOD, Passkey, plain
from tests.support.records.mail import Mailbox
from tests.support.service import Service, Tokens, tokens_of

pytestmark = pytest.mark.anyio


async def methods_of(service: Service, tokens: Tokens) -> list[str]:
    """The methods of a session, as introspection tells them."""
    answer = await service.client.post("/oauth/introspect", data={"token": tokens.access}, headers=tokens.bearer)
    methods: list[str] = answer.json()["amr"]
    return methods


@pytest.mark.asvs("6.3.7")
async def test_a_passkey_is_made_for_this_service_and_user(service: Service, mailbox: Mailbox) -> None:
    """It is to be found without an address and to verify its user; the first comes with recovery codes and a mail."""
    person, tokens = await service.signed_in()
    other = await service.sign_in(person)
    begun = await begin_passkey(service, tokens.bearer)
    options = begun["options"]
    assert options["rp"]["id"] == "service.example"
    assert plain(options["user"]["id"]) == person.id.bytes
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert (options["attestation"], options["excludeCredentials"]) == ("none", [])
    assert len(plain(options["challenge"])) == 32
    owner = await add_passkey(service, person, tokens)
    assert len(owner.codes or []) == 10
    assert (await service.whoami(tokens)).status_code == 200
    assert (await service.whoami(other)).status_code == 401
    assert await methods_of(service, tokens) == ["pwd", "pop", "mfa"]
    await told(mailbox, person.email, "Passkey")
    again = await begin_passkey(service, tokens.bearer)
    assert [plain(each["id"]) for each in again["options"]["excludeCredentials"]] == [owner.passkey.id]


@pytest.mark.asvs("6.3.3", "6.3.4")
async def test_a_passkey_signs_in_alone_and_as_the_second_factor(service: Service) -> None:
    """Alone it is two factors by itself; after the password it is the second. The list says when, and from where."""
    owner = await with_passkey(service)
    alone = await sign_in_with_passkey(service, owner)
    assert (await service.whoami(alone)).json()["email"] == owner.person.email
    assert await methods_of(service, alone) == ["user", "pop", "mfa"]
    challenge = await asked(service, owner.person)
    assert [each["kind"] for each in challenge["factors"]] == ["passkey", "recovery_codes"]
    assert [plain(each["id"]) for each in options_of(challenge)["allowCredentials"]] == [owner.passkey.id]
    second = await answer_by(service, challenge, owner.passkey.get(options_of(challenge)))
    assert await methods_of(service, tokens_of(second)) == ["pwd", "pop", "mfa"]
    listed = (await service.client.get(FACTORS, headers=alone.bearer)).json()["items"][0]
    assert (listed["name"], listed["last_used_ip"]) == ("Passkey", "127.0.0.1")
    assert listed["last_used_at"] is not None


@pytest.mark.asvs("6.7.1")
async def test_the_state_of_a_passkey_is_sealed_and_follows_its_use(service: Service) -> None:
    """Counter and backup are kept up to date; neither the public key nor the credential's id is in the row."""
    owner = await with_passkey(service, counts=False)
    challenge = await asked(service)
    flags = GOOD | BACKUP_ELIGIBLE | BACKED_UP
    answer = await answer_by(service, challenge, owner.passkey.get(options_of(challenge), flags=flags, count=7))
    assert answer.status_code == 200
    challenge = await asked(service)
    answer = await answer_by(service, challenge, owner.passkey.get(options_of(challenge), count=7))
    assert answer.status_code == 401
    async with service[Database].read() as db:
        row = (await db.scalars(select(Factor).where(Factor.kind == "passkey"))).one()
    assert owner.passkey.id not in row.sealed
    assert b"backed_up" not in row.sealed


@pytest.mark.asvs("6.5.6")
async def test_several_passkeys_have_names_and_each_signs_in_until_it_is_removed(service: Service) -> None:
    """Two authenticators; one removed opens nothing, and the other one still does."""
    first = await with_passkey(service)
    passkey, begun = Passkey(), await begin_passkey(service, first.tokens.bearer)
    made = passkey.create(begun["options"])
    answer = await add_credential(service, first.tokens.bearer, begun, made, name="My key")
    assert (answer.status_code, answer.json()["name"], "recovery_codes" in answer.json()) == (201, "My key", False)
    second = Owner(first.person, first.tokens, passkey, answer.json()["id"], None)
    for owner in (first, second):
        await sign_in_with_passkey(service, owner)
    tokens = await sign_in_with_passkey(service, second)
    assert (await service.client.delete(f"{FACTORS}/{first.factor_id}", headers=tokens.bearer)).status_code == 204
    challenge = await asked(service)
    gone = await answer_by(service, challenge, first.passkey.get(options_of(challenge)))
    assert (gone.status_code, gone.json()["detail"]) == (401, "The answer is wrong, or was used before.")
    await sign_in_with_passkey(service, second)


async def test_a_counter_that_goes_back_is_refused_and_the_owner_is_told(service: Service, mailbox: Mailbox) -> None:
    """A copy of the passkey was used elsewhere: no session, a mail that names the passkey, and an event."""
    owner = await with_passkey(service)
    await sign_in_with_passkey(service, owner)
    for person in (None, owner.person):
        challenge = await asked(service, person)
        copied = owner.passkey.get(options_of(challenge), count=2)
        assert (await answer_by(service, challenge, copied)).status_code == 401
    assert "may have copied it" in await told(mailbox, owner.person.email, '"Passkey" was refused')
    await sign_in_with_passkey(service, owner)


async def test_a_passkey_without_a_counter_is_used_again_and_again(service: Service) -> None:
    """Synchronised ones stay at zero: that is no copy."""
    owner = await with_passkey(service, counts=False)
    for _ in range(2):
        await sign_in_with_passkey(service, owner)


async def test_passkey_and_app_stand_in_for_each_other(service: Service) -> None:
    """Whichever is at hand answers the challenge of the password."""
    owner = await with_passkey(service)
    enrolled = await enrol(service, owner.person, owner.tokens)
    challenge = await asked(service, owner.person)
    assert [each["kind"] for each in challenge["factors"]] == ["passkey", "recovery_codes", "totp"]
    answer = await answer_with(service, challenge["challenge"], enrolled.app.fresh())
    assert answer.status_code == 200
    await sign_in_with_passkey(service, owner)


async def test_a_challenge_for_any_passkey_ends_after_five_minutes_and_is_purged(service: Service) -> None:
    """It is of nobody, so only time ends it."""
    with time_machine.travel(utc_now(), tick=False) as clock:
        owner = await with_passkey(service)
        challenge = await asked(service)
        clock.shift(301)
        late = await answer_by(service, challenge, owner.passkey.get(options_of(challenge)))
        assert (late.status_code, late.json()["detail"]) == (401, "The sign-in has ended. Begin again.")
        assert await service.purge("unfinished sign-ins", before=utc_now(), limit=10) == 1


async def test_development_names_this_machine_as_browsers_allow_it(start: StartService) -> None:
    """Browsers make no passkey for 127.0.0.1: the id is localhost, under which the service is reached as well."""
    async with start(public_url="http://127.0.0.1:8000", allowed_hosts="service.example") as service:
        _, tokens = await service.signed_in()
        begun = await begin_passkey(service, tokens.bearer)
        assert begun["options"]["rp"]["id"] == "localhost"
        passkey = Passkey()
        for origin, status in (("http://127.0.0.1:8000", 403), ("http://localhost:8000", 201)):
            made = passkey.create(begun["options"], origin=origin)
            assert (await add_credential(service, tokens.bearer, begun, made)).status_code == status
