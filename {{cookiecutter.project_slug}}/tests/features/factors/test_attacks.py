"""What somebody hostile tries who knows the password, or has a stolen session: races, changes in between, floods."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import time_machine

from app.access.roles import Role
from app.core.clock import utc_now
from tests.conftest import StartService
from tests.features.factors.passkeys.steps import sign_in_with_passkey, with_passkey
from tests.features.factors.steps import (
    FACTORS,
    App,
    answer_with,
    begin,
    challenged,
    confirm,
    sign_in_with_app,
    with_app,
)
from tests.support.api.account_mail import Post
from tests.support.api.oauth import issue_to, register
from tests.support.records.mail import Mailbox
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

ENDED = (401, "The sign-in has ended. Begin again.")


def at(ip: str) -> dict[str, Any]:
    """The options of a request that comes from the address."""
    return {"headers": {"X-Forwarded-For": ip}}


@pytest.mark.asvs("2.3.1", "7.4.2")
@pytest.mark.parametrize("change", ["password", "roles", "disabled", "deleted", "reset", "new codes"])
async def test_a_challenge_ends_with_every_change_of_its_account(service: Service, change: str) -> None:
    """The right code for it is refused as one for a challenge that never was."""
    enrolled, (_, admin) = await with_app(service), await service.signed_in(Role.ADMIN)
    challenge, path = await challenged(service, enrolled.person), f"/api/v1/users/{enrolled.person.id}"
    own, call = enrolled.tokens.bearer, service.client.request
    passwords = {"current_password": enrolled.person.password, "new_password": "unrelated words of a song"}
    calls: dict[str, tuple[str, str, Any, dict[str, str]]] = {
        "password": ("POST", "/api/v1/users/me/password", passwords, own),
        "roles": ("PUT", f"{path}/roles", {"roles": ["member", "auditor"]}, admin.bearer),
        "disabled": ("PATCH", path, {"disabled": True}, admin.bearer),
        "deleted": ("DELETE", path, None, admin.bearer),
        "reset": ("DELETE", f"{path}/factors", None, admin.bearer),
        "new codes": ("POST", FACTORS, {"kind": "recovery_codes"}, own),
    }
    method, url, body, headers = calls[change]
    assert (await call(method, url, json=body, headers=headers)).is_success
    answer = await answer_with(service, challenge, enrolled.app.fresh())
    assert (answer.status_code, answer.json()["detail"]) == ENDED


@pytest.mark.asvs("2.3.4", "7.2.4")
async def test_changes_at_once_in_one_session_leave_a_session_with_two_factors(service: Service) -> None:
    """Of apps, codes and removals at once, each is done or refused; who has a factor has no session without it."""
    _, tokens = await service.signed_in()
    begun = [await begin(service, tokens.bearer) for _ in range(3)]
    new_codes = {"kind": "recovery_codes"}
    answers = await asyncio.gather(
        *(confirm(service, tokens.bearer, each, App(each["otpauth_uri"]).code()) for each in begun * 2),
        *(service.client.post(FACTORS, json=new_codes, headers=tokens.bearer) for _ in range(6)),
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    kinds = [row["kind"] for row in (await service.client.get(FACTORS, headers=tokens.bearer)).json()["items"]]
    assert (kinds.count("recovery_codes"), 1 <= kinds.count("totp") <= 3) == (1, True)
    look = await service.client.post("/oauth/introspect", data={"token": tokens.access}, headers=tokens.bearer)
    assert "mfa" in look.json()["amr"]


@pytest.mark.asvs("6.5.1", "2.3.4")
async def test_fifty_removals_and_uses_at_once_open_nothing_that_stays(service: Service) -> None:
    """Once the factor is gone, no session that it opened is alive."""
    enrolled = await with_app(service)
    challenges = [await challenged(service, enrolled.person) for _ in range(5)]
    uses = (
        answer_with(service, challenges[number % 5], enrolled.codes[number % 10], "recovery_codes")
        for number in range(45)
    )
    removals = (
        service.client.delete(f"{FACTORS}/{enrolled.factor_id}", headers=enrolled.tokens.bearer) for _ in range(5)
    )
    answers = await asyncio.gather(*uses, *removals)
    assert [answer.status_code for answer in answers[45:]].count(204) == 1
    for answer in answers[:45]:
        if answer.status_code == 200:
            assert (await service.whoami(tokens_of(answer))).status_code == 401


@pytest.mark.asvs("6.3.1", "6.6.3")
async def test_a_flood_of_wrong_codes_keeps_out_the_attacker_and_not_the_owner(start: StartService) -> None:
    """Who knows the password has five tries a network and twenty a day; the owner at home is still heard."""
    async with start(trusted_proxies="127.0.0.1") as service:
        home, elsewhere = at("198.51.100.7"), at("203.0.113.200")
        enrolled = await with_app(service)
        first = await answer_with(
            service, await challenged(service, enrolled.person, **home), enrolled.app.fresh(), **home
        )
        assert first.status_code == 200
        statuses = []
        for number in range(6):
            there = at(f"203.0.113.{number}")
            challenge = await challenged(service, enrolled.person, **there)
            statuses += [(await answer_with(service, challenge, "000000", **there)).status_code for _ in range(6)]
        assert (statuses.count(401), statuses.count(429)) == (20, 16)
        late = await challenged(service, enrolled.person, **elsewhere)
        code = enrolled.app.fresh()
        assert (await answer_with(service, late, code, **elsewhere)).status_code == 429
        challenge = await challenged(service, enrolled.person, **home)
        assert (await answer_with(service, challenge, code, **home)).status_code == 200


@pytest.mark.asvs("6.3.1", "6.4.3", "6.6.3")
async def test_who_reads_the_mailbox_guesses_no_more_than_others_and_keeps_nobody_out(
    start: StartService, mailbox: Mailbox
) -> None:
    """After resets from many networks they have twenty answers a day; the owner is heard where they used the factor."""
    async with start(trusted_proxies="127.0.0.1") as service:
        home = at("198.51.100.7")
        enrolled = await with_app(service)
        owner, post = enrolled.person, Post(service, mailbox)
        first = await answer_with(service, await challenged(service, owner, **home), enrolled.app.fresh(), **home)
        assert first.status_code == 200
        statuses = []
        for number in range(5):
            there, password = at(f"203.0.113.{number}"), f"unrelated words of song {number}"
            await post.forgot(owner.email)
            assert await post.reset(await post.mailed_token(owner.email, number + 1), password, **there) == 204
            owner = replace(owner, password=password)
            challenge = await challenged(service, owner, **there)
            statuses += [(await answer_with(service, challenge, "000000", **there)).status_code for _ in range(6)]
        assert (statuses.count(401), statuses.count(429)) == (20, 10)
        challenge = await challenged(service, owner, **home)
        assert (await answer_with(service, challenge, enrolled.app.fresh(), **home)).status_code == 200


@pytest.mark.asvs("7.5.1", "10.3.2")
async def test_an_application_with_every_scope_changes_no_factor(service: Service) -> None:
    """Nor does it reset its own user's; it may see what there is."""
    person, tokens = await service.signed_in()
    client = await register(service)
    issued = await issue_to(service, client, person)
    for body in ({"kind": "totp"}, {"kind": "recovery_codes"}):
        assert (await service.client.post(FACTORS, json=body, headers=issued.bearer)).status_code == 403
    assert (await service.whoami(tokens)).status_code == 200


@pytest.mark.asvs("14.2.6")
async def test_my_copy_of_my_data_names_my_factors_without_their_secrets(service: Service) -> None:
    """Kind, name and times; and the sign-ins that wait, without their challenge."""
    enrolled = await with_app(service)
    challenge, begun = await challenged(service, enrolled.person), await begin(service, enrolled.tokens.bearer)
    answer = await service.client.get("/api/v1/users/me/export", headers=enrolled.tokens.bearer)
    copy = answer.json()
    assert sorted(row["kind"] for row in copy["factors"]) == ["recovery_codes", "totp"]
    shown = {"id", "kind", "name", "created_at", "last_used_at", "last_used_ip"}
    assert [set(row) for row in copy["factors"]] == [shown] * 2
    assert [set(row) for row in copy["unfinished_sign_ins"]] == [{"channel", "method", "expires_at"}]
    assert [set(row) for row in copy["enrolments"]] == [{"session_id", "kind", "expires_at"}] * 2
    for secret in (enrolled.app.secret, challenge, begun["enrolment"], begun["secret"], *enrolled.codes):
        assert secret not in answer.text


async def test_a_stolen_enrolment_is_worth_nothing_after_its_time(service: Service) -> None:
    """After 15 minutes the service asks to begin again, also of who holds a living token of a recent sign-in."""
    with time_machine.travel(utc_now(), tick=False) as clock:
        enrolled = await with_app(service)
        tokens = await sign_in_with_app(service, enrolled)
        begun = await begin(service, tokens.bearer)
        clock.shift(15 * 60)
        tokens = tokens_of(await service.refresh(tokens.refresh))
        answer = await confirm(service, tokens.bearer, begun, App(begun["otpauth_uri"]).code())
        assert (answer.status_code, "has expired" in answer.json()["detail"]) == (400, True)


async def test_the_copy_has_what_a_passkey_told_of_itself(service: Service) -> None:
    """The counter of its last use and the state of its backup; not its key."""
    owner = await with_passkey(service)
    tokens = await sign_in_with_passkey(service, owner)
    answer = await service.client.get("/api/v1/users/me/export", headers=tokens.bearer)
    (told,) = [row for row in answer.json()["factors"] if row["kind"] == "passkey"]
    assert (told["count"], told["backed_up"], told["device"]) == (owner.passkey.count, False, "single_device")
    assert "descriptor" not in told.keys() | answer.json().keys()
    assert '"key"' not in answer.text
