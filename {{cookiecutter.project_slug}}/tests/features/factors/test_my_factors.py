"""Adding and removing factors: proved before it counts, told by mail, and every other session ends."""

import asyncio
import secrets

import pytest
import time_machine
from sqlalchemy import select

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.factors.service import Factor, FactorService
from app.features.signin.models import UnfinishedSignIn
from tests.conftest import StartService
from tests.features.factors.steps import (
    FACTORS,
    App,
    answer_with,
    begin,
    challenged,
    confirm,
    enrol,
    sign_in_with_app,
    told,
    with_app,
)
from tests.support.api.account_mail import TOKEN
from tests.support.api.oauth import issue_to, register
from tests.support.records.mail import Mailbox
from tests.support.service import Service

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("6.3.7", "6.5.2", "6.5.4", "7.4.3")
async def test_an_app_is_added_by_its_code_and_ends_other_sessions(service: Service, mailbox: Mailbox) -> None:
    """Nothing is stored before; with the first factor come ten codes of 120 bits, of which only digests are sealed."""
    person, tokens = await service.signed_in()
    other = await service.sign_in(person)
    begun = await begin(service, tokens.bearer)
    assert len(App(begun["otpauth_uri"]).secret) == 32
    assert (await service.client.get(FACTORS, headers=tokens.bearer)).json()["items"] == []
    enrolled = await enrol(service, person, tokens)
    assert {len(code.replace("-", "")) for code in enrolled.codes} == {24}
    assert len(set(enrolled.codes)) == 10
    assert (await service.whoami(tokens)).status_code == 200
    assert (await service.whoami(other)).status_code == 401
    await told(mailbox, person.email, "Authenticator app")
    listed = (await service.client.get(FACTORS, headers=tokens.bearer)).json()["items"]
    assert [item["kind"] for item in listed] == ["totp", "recovery_codes"]
    async with service[Database].read() as db:
        rows = (await db.scalars(select(Factor))).all()
    kept = b"".join(row.sealed for row in rows)
    assert enrolled.app.secret.encode() not in kept
    assert [code for code in enrolled.codes if code.encode() in kept] == []


@pytest.mark.asvs("2.3.1", "6.6.2")
async def test_an_enrolment_belongs_to_its_session_and_kind(service: Service) -> None:
    """Another user's, another session's, a forged one and a second use are refused; a wrong code too."""
    with time_machine.travel(utc_now(), tick=False) as clock:
        person, tokens = await service.signed_in()
        other, (_, stranger) = await service.sign_in(person), await service.signed_in()
        begun = await begin(service, tokens.bearer)
        code = App(begun["otpauth_uri"]).code()
        for headers in (other.bearer, stranger.bearer):
            assert (await confirm(service, headers, begun, code)).status_code == 400
        forged = {**begun, "enrolment": begun["enrolment"][:-8] + "AAAAAAAA"}
        assert (await confirm(service, tokens.bearer, forged, code)).status_code == 400
        assert (await confirm(service, tokens.bearer, begun, "000000")).status_code == 403
        late = await begin(service, tokens.bearer)
        assert (await confirm(service, tokens.bearer, begun, code)).status_code == 201
        assert (await confirm(service, tokens.bearer, begun, App(begun["otpauth_uri"]).code(1))).status_code == 409
        clock.shift(9 * 60)
        assert (await confirm(service, tokens.bearer, late, App(late["otpauth_uri"]).code())).status_code == 201
        fresh = await service.client.post(FACTORS, json={"kind": "recovery_codes", "code": None}, headers=tokens.bearer)
        assert fresh.status_code == 201


@pytest.mark.asvs("7.5.1")
async def test_changes_take_a_recent_sign_in_with_the_service_itself(service: Service) -> None:
    """After 15 minutes each is 401 with RFC 9470's challenge; the list is still there."""
    with time_machine.travel(utc_now(), tick=False) as clock:
        enrolled = await with_app(service)
        tokens = await sign_in_with_app(service, enrolled)
        clock.shift(15 * 60 + 1)
        renewed = (await service.refresh(tokens.refresh)).json()["access_token"]
        headers = {"Authorization": f"Bearer {renewed}"}
        answers = [
            await service.client.post(FACTORS, json={"kind": "totp"}, headers=headers),
            await service.client.post(FACTORS, json={"kind": "recovery_codes"}, headers=headers),
            await service.client.delete(f"{FACTORS}/{enrolled.factor_id}", headers=headers),
        ]
        assert {
            (each.status_code, "insufficient_user_authentication" in each.headers["WWW-Authenticate"])
            for each in answers
        } == {(401, True)}
        assert (await service.client.get(FACTORS, headers=headers)).status_code == 200


@pytest.mark.asvs("6.3.7", "6.5.1", "6.5.2")
async def test_a_recovery_code_signs_in_once_and_the_owner_is_told(service: Service, mailbox: Mailbox) -> None:
    """In any case, without its hyphens; each use is a mail, which asks for new codes when three are left."""
    enrolled = await with_app(service)
    for number, code in enumerate(enrolled.codes[:7]):
        typed = code.replace("-", " ").upper() if number == 0 else code
        answer = await answer_with(service, await challenged(service, enrolled.person), typed, "recovery_codes")
        assert answer.status_code == 200, number
    assert "Make new ones soon" in await told(mailbox, enrolled.person.email, "3 are left")
    assert "Make new ones soon" not in await told(mailbox, enrolled.person.email, "4 are left")
    challenge = await challenged(service, enrolled.person)
    assert (await answer_with(service, challenge, enrolled.codes[0], "recovery_codes")).status_code == 401
    tokens = await sign_in_with_app(service, enrolled)
    new = await service.client.post(FACTORS, json={"kind": "recovery_codes"}, headers=tokens.bearer)
    challenge = await challenged(service, enrolled.person)
    assert (await answer_with(service, challenge, enrolled.codes[9], "recovery_codes")).status_code == 401
    fresh = new.json()["recovery_codes"][9]
    assert (await answer_with(service, challenge, fresh, "recovery_codes")).status_code == 200


@pytest.mark.asvs("6.3.7", "6.5.6")
async def test_removing_the_last_factor_makes_the_password_enough_again(service: Service, mailbox: Mailbox) -> None:
    """The recovery codes go with it, other sessions end, and an unfinished sign-in is over."""
    enrolled = await with_app(service)
    other, challenge = await sign_in_with_app(service, enrolled), await challenged(service, enrolled.person)
    answer = await service.client.delete(f"{FACTORS}/{enrolled.factor_id}", headers=enrolled.tokens.bearer)
    assert answer.status_code == 204
    assert (await service.whoami(other)).status_code == 401
    assert (await answer_with(service, challenge, enrolled.app.fresh())).status_code == 401
    assert (await service.client.get(FACTORS, headers=enrolled.tokens.bearer)).json()["items"] == []
    await told(mailbox, enrolled.person.email, "was removed")
    await service.sign_in(enrolled.person)


async def test_removal_and_use_at_once_leave_one_state(service: Service) -> None:
    """Whichever comes first: a session that the factor opened is dead after the removal, or it was never opened."""
    enrolled = await with_app(service)
    challenge = await challenged(service, enrolled.person)
    removed, used = await asyncio.gather(
        service.client.delete(f"{FACTORS}/{enrolled.factor_id}", headers=enrolled.tokens.bearer),
        answer_with(service, challenge, enrolled.app.fresh()),
    )
    assert removed.status_code == 204
    if used.status_code == 200:
        bearer = {"Authorization": f"Bearer {used.json()['access_token']}"}
        assert (await service.client.get("/api/v1/users/me", headers=bearer)).status_code == 401
    else:
        assert used.status_code == 401


async def test_nobody_touches_the_factors_of_others(service: Service) -> None:
    """Another user's is not found, as one that never was; a member resets nobody's."""
    enrolled, (_, stranger) = await with_app(service), await service.signed_in()
    answer = await service.client.delete(f"{FACTORS}/{enrolled.factor_id}", headers=stranger.bearer)
    assert answer.status_code == 404
    path = f"/api/v1/users/{enrolled.person.id}/factors"
    assert (await service.client.delete(path, headers=stranger.bearer)).status_code == 403
    assert len((await service.client.get(FACTORS, headers=enrolled.tokens.bearer)).json()["items"]) == 2


@pytest.mark.asvs("6.3.7", "6.5.6")
async def test_an_administrator_resets_the_factors_of_another(service: Service, mailbox: Mailbox) -> None:
    """All go, the sessions end, the owner is told, and it is on record; their own need the way of everybody."""
    enrolled, (admin, tokens) = await with_app(service), await service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{enrolled.person.id}/factors"
    assert (await service.client.delete(path, headers=tokens.bearer)).status_code == 204
    assert (await service.whoami(enrolled.tokens)).status_code == 401
    await service.sign_in(enrolled.person)
    await told(mailbox, enrolled.person.email, "by an administrator")
    trail = await service.client.get("/api/v1/audit", params={"action": "factors_reset"}, headers=tokens.bearer)
    assert [item["target_id"] for item in trail.json()["items"]] == [str(enrolled.person.id)]
    own = await service.client.delete(f"/api/v1/users/{admin.id}/factors", headers=tokens.bearer)
    assert own.status_code == 403


@pytest.mark.asvs("8.2.1", "10.3.2")
async def test_an_application_of_an_administrator_resets_no_factors(service: Service) -> None:
    """With every permission of theirs, too: after a reset the password alone signs in."""
    enrolled, (admin, tokens) = await with_app(service), await service.signed_in(Role.ADMIN)
    scope = " ".join((await service.whoami(tokens)).json()["permissions"])
    application = await issue_to(service, await register(service, scope=scope), admin, scope)
    path = f"/api/v1/users/{enrolled.person.id}"
    assert (await service.client.get(path, headers=application.bearer)).status_code == 200
    assert (await service.client.delete(f"{path}/factors", headers=application.bearer)).status_code == 403
    assert (await service.client.delete(f"{path}/factors", headers=tokens.bearer)).status_code == 204


@pytest.mark.asvs("6.4.3")
async def test_a_new_password_keeps_the_factors_and_ends_unfinished_sign_ins(
    service: Service, mailbox: Mailbox
) -> None:
    """After a reset by mail, the sign-in asks for the factor as before."""
    enrolled = await with_app(service)
    challenge = await challenged(service, enrolled.person)
    await service.client.post("/api/v1/accounts/password/forgot", json={"email": enrolled.person.email})
    (token,) = {*TOKEN.findall(await told(mailbox, enrolled.person.email, "pwr_"))}
    new = "unrelated words of another song"
    body = {"token": token, "new_password": new}
    assert (await service.client.post("/api/v1/accounts/password/reset", json=body)).status_code == 204
    assert (await answer_with(service, challenge, enrolled.app.fresh())).status_code == 401
    answer = await service.try_sign_in(enrolled.person.email, new)
    assert answer.json()["status"] == "factor_required"


async def test_what_is_over_goes_with_the_purge(service: Service) -> None:
    """Sign-ins that nobody finished are deleted after their end."""
    enrolled = await with_app(service)
    await challenged(service, enrolled.person)
    with time_machine.travel(utc_now()) as clock:
        clock.shift(3600)
        assert await service.purge("unfinished sign-ins", before=utc_now(), limit=10) == 1
    async with service[Database].read() as db:
        assert (await db.scalars(select(UnfinishedSignIn))).all() == []


@pytest.mark.asvs("6.7.1")
async def test_a_sealed_factor_is_of_its_row_and_survives_a_new_key(start: StartService) -> None:
    """Moved to another user it opens nothing; after a rotation it is sealed anew, and the app still signs in."""
    first, second = secrets.token_urlsafe(64), secrets.token_urlsafe(64)
    async with start(secret_key=first) as service:
        mine, theirs = await with_app(service), await with_app(service)
        async with service[Database].transaction() as db:
            rows = {row.user_id: row for row in await db.scalars(select(Factor).where(Factor.kind == "totp"))}
            rows[theirs.person.id].sealed = rows[mine.person.id].sealed
        moved = await answer_with(service, await challenged(service, theirs.person), mine.app.code())
        assert moved.status_code == 401
    async with start(secret_key=second, secret_key_fallbacks=first) as service, service[Database].transaction() as db:
        assert await service[FactorService].reseal(db, limit=100) == 3  # the moved one stays
    async with start(secret_key=second) as service:
        await sign_in_with_app(service, mine)


@pytest.mark.asvs("6.3.3", "13.3.4")
async def test_a_factor_that_no_key_opens_is_asked_for_still(
    start: StartService, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a new key without the earlier one, resealing takes no factor away; with the earlier one all work again."""
    first, second = secrets.token_urlsafe(64), secrets.token_urlsafe(64)
    async with start(secret_key=first) as service:
        mine = await with_app(service)
    async with start(secret_key=second) as service:
        theirs = await with_app(service)
        async with service[Database].transaction() as db:
            assert await service[FactorService].reseal(db, limit=100) == 0
        assert '"event":"sealed_rows_unreadable"' in capsys.readouterr().out
        challenge = await challenged(service, mine.person)
        assert (await answer_with(service, challenge, mine.app.code())).status_code == 401
    async with start(secret_key=first, secret_key_fallbacks=second) as service:
        async with service[Database].transaction() as db:
            assert [await service[FactorService].reseal(db, limit=1) for _ in range(3)] == [1, 1, 0]
        await sign_in_with_app(service, mine)
        await sign_in_with_app(service, theirs)
