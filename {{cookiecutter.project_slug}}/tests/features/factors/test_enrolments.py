"""An enrolment adds one factor, once: also after that factor was removed, and with the same answer to it."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
import time_machine
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.crypto import digest
from app.core.database.database import Database
from app.features.accounts.models import User
from app.features.factors.service import Enrolment, FactorService
from app.features.sessions.models import Session
from tests.conftest import StartService
from tests.features.factors.passkeys.steps import add_credential, begin_passkey
from tests.features.factors.steps import FACTORS, App, begin, confirm, enrol
from tests.features.factors.test_races import MANY, together
from tests.support.api.authenticator import Passkey
from tests.support.api.meanwhile import while_it_waits
from tests.support.service import Person, Service, Tokens

pytestmark = pytest.mark.anyio

Add = Callable[..., Awaitable[httpx2.Response]]
End = Callable[[AsyncSession, Person], Awaitable[None]]


async def enrolment(service: Service, kind: str, headers: dict[str, str]) -> Add:
    """Begin to add a factor, and return what sends the right answer, each time the same one, also `on` a replica."""
    if kind == "totp":
        begun = await begin(service, headers)
        code = App(begun["otpauth_uri"]).code()
        return lambda on=service: confirm(on, headers, begun, code)
    begun = await begin_passkey(service, headers)
    made = Passkey().create(begun["options"])
    return lambda on=service: add_credential(on, headers, begun, made)


async def end_sessions(db: AsyncSession, person: Person) -> None:
    """End all of somebody."""
    await db.execute(update(Session).where(Session.user_id == person.id).values(ended_at=utc_now()))


async def delete_account(db: AsyncSession, person: Person) -> None:
    """Delete an account with all that belongs to it."""
    await db.execute(delete(User).where(User.id == person.id))


async def remove(service: Service, headers: dict[str, str], added: httpx2.Response) -> None:
    """Remove what an answer says was added."""
    answer = await service.client.delete(f"{FACTORS}/{added.json()['id']}", headers=headers)
    assert answer.status_code == 204, answer.text


async def listed(service: Service, headers: dict[str, str]) -> list[Any]:
    """The kinds that the account has."""
    return [each["kind"] for each in (await service.client.get(FACTORS, headers=headers)).json()["items"]]


@pytest.mark.asvs("7.4.1")
@pytest.mark.parametrize("kind", ["totp", "passkey"])
@pytest.mark.parametrize("end", [end_sessions, delete_account])
async def test_nothing_begins_in_a_session_that_has_ended_meanwhile(start: StartService, kind: str, end: End) -> None:
    """Whoever was let in before waits, and is refused; no row is made, and no secret shown."""
    async with start() as service, start() as other:
        person, tokens = await service.signed_in()
        request = service.client.post(FACTORS, json={"kind": kind}, headers=tokens.bearer)
        answer = await while_it_waits(service, other, person, request, lambda db: end(db, person))
        assert answer.status_code == 401, answer.text
        async with service[Database].read() as db:
            assert await db.scalar(select(func.count()).select_from(Enrolment)) == 0


@pytest.mark.asvs("6.5.1", "6.6.2", "6.7.2")
@pytest.mark.parametrize("kind", ["totp", "passkey"])
@pytest.mark.parametrize("beside", [False, True])
async def test_an_enrolment_counts_once_also_after_a_removal(service: Service, kind: str, *, beside: bool) -> None:
    """The same body is refused while its factor is there, and once it is gone: as the only one, and beside another."""
    with time_machine.travel(utc_now(), tick=False):
        person, tokens = await service.signed_in()
        if beside:
            await enrol(service, person, tokens)
        before = await listed(service, tokens.bearer)
        add = await enrolment(service, kind, tokens.bearer)
        added = await add()
        assert added.status_code == 201
        assert (await add()).status_code == 409
        await remove(service, tokens.bearer, added)
        assert (await add()).status_code == 409
        assert await listed(service, tokens.bearer) == before
        assert (await (await enrolment(service, kind, tokens.bearer))()).status_code == 201


async def test_what_fails_uses_no_enrolment_up(service: Service) -> None:
    """A wrong answer, and a passkey that is refused because another factor was added meanwhile."""
    with time_machine.travel(utc_now(), tick=False):
        _, tokens = await service.signed_in()
        begun = await begin_passkey(service, tokens.bearer)
        app = await enrolment(service, "totp", tokens.bearer)
        assert (await add_credential(service, tokens.bearer, begun, "{}")).status_code == 403
        added = await app()
        assert added.status_code == 201
        made = Passkey().create(begun["options"])
        assert (await add_credential(service, tokens.bearer, begun, made)).status_code == 409
        await remove(service, tokens.bearer, added)
        assert (await add_credential(service, tokens.bearer, begun, made)).status_code == 201


@pytest.mark.asvs("2.3.4", "6.5.1", "6.7.2")
@pytest.mark.parametrize("kind", ["totp", "passkey"])
async def test_an_enrolment_counts_once_on_all_replicas_and_after_a_restart(start: StartService, kind: str) -> None:
    """Without Valkey: what counts is the row, so that fifty answers at once add one factor, and none later.

    There is a factor before, so that none of them is refused because the session has proved none.
    """
    async with start() as service, start() as other:
        person, tokens = await service.signed_in()
        first = (await enrol(service, person, tokens)).factor_id
        add = await enrolment(service, kind, tokens.bearer)
        lock = select(User).where(User.id == person.id)
        statuses = await together(other, lock, [add() for _ in range(MANY)])
        assert (statuses.count(201), statuses.count(409)) == (1, MANY - 1)
        factors = (await service.client.get(FACTORS, headers=tokens.bearer)).json()["items"]
        (added,) = [row["id"] for row in factors if row["kind"] == kind and row["id"] != first]
        removed = await service.client.delete(f"{FACTORS}/{added}", headers=tokens.bearer)
        assert removed.status_code == 204, removed.text
        assert (await add(other)).status_code == 409
    async with start() as service:
        assert (await add(service)).status_code == 409
        assert await listed(service, tokens.bearer) == ["totp", "recovery_codes"]
        async with service[Database].read() as db:
            assert (await db.scalars(select(Enrolment.sealed))).all() == [None, None]


async def test_what_is_begun_can_be_ended_after_a_restart_with_a_new_key(start: StartService) -> None:
    """The row is sealed anew with the factors; its token is stored as a digest, and is in no row."""
    first, second = secrets.token_urlsafe(64), secrets.token_urlsafe(64)
    async with start(secret_key=first) as service:
        _, tokens = await service.signed_in()
        begun = await begin(service, tokens.bearer)
    async with start(secret_key=second, secret_key_fallbacks=first) as service, service[Database].transaction() as db:
        assert [await service[FactorService].reseal(db, limit=9) for _ in range(2)] == [1, 0]
        assert (await db.scalars(select(Enrolment.token_hash))).all() == [digest(begun["enrolment"])]
    async with start(secret_key=second) as service:
        renewed = Tokens((await service.refresh(tokens.refresh)).json()["access_token"], "")
        assert (await confirm(service, renewed.bearer, begun, App(begun["otpauth_uri"]).code())).status_code == 201


@pytest.mark.asvs("2.3.1")
async def test_a_state_of_another_enrolment_adds_nothing(service: Service) -> None:
    """Who writes to the database moves an app's secret that they know, or the row, to the session of somebody else."""
    (_, mine), (_, theirs) = await service.signed_in(), await service.signed_in()
    begun, known = await begin(service, theirs.bearer), await begin(service, mine.bearer)
    victim, attacker = (Enrolment.token_hash == digest(each["enrolment"]) for each in (begun, known))
    code = App(known["otpauth_uri"]).code()
    async with service[Database].transaction() as db:
        sealed = await db.scalar(select(Enrolment.sealed).where(attacker))
        session_id = await db.scalar(select(Enrolment.session_id).where(victim))
        await db.execute(update(Enrolment).where(victim).values(sealed=sealed))
    assert (await confirm(service, theirs.bearer, begun, code)).status_code == 400
    async with service[Database].transaction() as db:
        await db.execute(update(Enrolment).where(attacker).values(session_id=session_id))
    assert (await confirm(service, theirs.bearer, known, code)).status_code == 400


async def test_what_was_begun_goes_with_the_purge_and_with_its_account(service: Service) -> None:
    """An enrolment that is over is deleted; one that is not goes with the session of the account."""

    async def count() -> int | None:
        async with service[Database].read() as db:
            return await db.scalar(select(func.count()).select_from(Enrolment))

    with time_machine.travel(utc_now(), tick=False) as clock:
        person, tokens = await service.signed_in()
        for _ in range(2):
            await begin(service, tokens.bearer)
        clock.shift(16 * 60)
        renewed = await service.sign_in(person)
        await begin(service, renewed.bearer)
        assert await service.purge("enrolments", before=utc_now(), limit=10) == 2
        assert await count() == 1
        body = {"current_password": person.password}
        gone = await service.client.request("DELETE", "/api/v1/users/me", json=body, headers=renewed.bearer)
        assert gone.status_code == 204, gone.text
        assert await count() == 0
