"""Limits of answers for a second factor: they bound guesses, and keep no owner out."""

from typing import Any

import pytest

from app.access.roles import Role
from tests.conftest import StartService
from tests.features.factors.passkeys.steps import Owner, add_passkey, answer_by, asked, options_of
from tests.features.factors.steps import Enrolled, answer_with, challenged, enrol
from tests.support.api.authenticator import Passkey
from tests.support.records.trail import listed
from tests.support.service import Service

pytestmark = pytest.mark.anyio

HOME, NEW = "198.51.100.7", "203.0.113.250"
OWN, OTHER = "Firefox/151.0", "curl/8.9"
BEHIND_A_PROXY: dict[str, Any] = {"trusted_proxies": "127.0.0.1"}


def at(ip: str, program: str = OWN) -> dict[str, Any]:
    """The options of a request of a program at an address."""
    return {"headers": {"X-Forwarded-For": ip, "User-Agent": program}}


async def owner_at_home(service: Service) -> tuple[Enrolled, Owner]:
    """Somebody with an app, recovery codes and a passkey, who has used the app at home with their own program."""
    person, tokens = await service.signed_in()
    enrolled = await enrol(service, person, tokens)
    owner = await add_passkey(service, person, tokens)
    challenge = await challenged(service, person, **at(HOME))
    assert (await answer_with(service, challenge, enrolled.app.fresh(), **at(HOME))).status_code == 200
    return enrolled, owner


async def guess(service: Service, enrolled: Enrolled, times: int, kind: str = "totp", **options: Any) -> list[int]:
    """Give wrong codes after the right password: the statuses."""
    challenge = await challenged(service, enrolled.person, **options)
    code = "000000" if kind == "totp" else "aaaaaa-aaaaaa-aaaaaa-aaaaaa"
    return [(await answer_with(service, challenge, code, kind, **options)).status_code for _ in range(times)]


async def by_recovery_code(service: Service, enrolled: Enrolled, **options: Any) -> int:
    """Sign in with a recovery code: the status."""
    challenge = await challenged(service, enrolled.person, **options)
    return (await answer_with(service, challenge, enrolled.codes.pop(), "recovery_codes", **options)).status_code


async def by_passkey(service: Service, owner: Owner, **options: Any) -> int:
    """Sign in with the password and a passkey: the status."""
    challenge = await asked(service, owner.person, **options)
    return (await answer_by(service, challenge, owner.passkey.get(options_of(challenge)), **options)).status_code


@pytest.mark.asvs("6.3.1", "6.6.3")
async def test_wrong_codes_in_the_network_of_the_owner_keep_no_owner_out(start: StartService) -> None:
    """Another device there has five; the owner's own has five more, and what cannot be guessed is always heard."""
    async with start(**BEHIND_A_PROXY) as service:
        enrolled, owner = await owner_at_home(service)
        assert await guess(service, enrolled, 7, **at(HOME, OTHER)) == [401] * 5 + [429] * 2
        for program in (OWN, OTHER):
            assert await by_recovery_code(service, enrolled, **at(HOME, program)) == 200
            assert await by_passkey(service, owner, **at(HOME, program)) == 200
        challenge = await challenged(service, enrolled.person, **at(HOME))
        assert (await answer_with(service, challenge, enrolled.app.fresh(), **at(HOME))).status_code == 200


@pytest.mark.asvs("6.3.1", "6.6.3")
async def test_a_known_device_has_five_wrong_codes_too(start: StartService) -> None:
    """Under its name others guess no more than elsewhere; programs that are new to the network share five."""
    async with start(**BEHIND_A_PROXY) as service:
        enrolled, _ = await owner_at_home(service)
        assert await guess(service, enrolled, 7, **at(HOME)) == [401] * 5 + [429] * 2
        found = [await guess(service, enrolled, 2, **at(HOME, f"program {letter}")) for letter in "abcd"]
        assert found == [[401, 401], [401, 401], [401, 429], [429, 429]]


@pytest.mark.asvs("6.3.1", "6.6.3")
async def test_after_twenty_wrong_codes_what_cannot_be_guessed_is_heard_anywhere(start: StartService) -> None:
    """From a network that is new an app is refused for the day; a recovery code and a passkey are not."""
    async with start(**BEHIND_A_PROXY) as service:
        enrolled, owner = await owner_at_home(service)
        found = [await guess(service, enrolled, 5, **at(f"203.0.113.{number}", OTHER)) for number in range(5)]
        assert found == [[401] * 5] * 4 + [[429] * 5]
        assert await guess(service, enrolled, 1, **at(NEW)) == [429]
        assert await by_recovery_code(service, enrolled, **at(NEW)) == 200
        assert await by_passkey(service, owner, **at(NEW)) == 200


@pytest.mark.asvs("6.3.1")
async def test_wrong_recovery_codes_and_passkeys_use_up_nothing(start: StartService) -> None:
    """Each is refused in the same words; then every kind still answers, from the same device."""
    async with start(**BEHIND_A_PROXY, rate_limit_signin="10/15minutes") as service:
        enrolled, owner = await owner_at_home(service)
        assert await guess(service, enrolled, 30, "recovery_codes", **at(NEW)) == [401] * 30
        for _ in range(12):
            for_passkey = await asked(service, owner.person, **at(NEW))
            wrong = Passkey(user=owner.passkey.user).get(options_of(for_passkey))
            answer = await answer_by(service, for_passkey, wrong, **at(NEW))
            assert (answer.status_code, answer.json()["detail"]) == (401, "The answer is wrong, or was used before.")
        assert await by_recovery_code(service, enrolled, **at(NEW)) == 200
        assert await by_passkey(service, owner, **at(NEW)) == 200
        challenge = await challenged(service, enrolled.person, **at(NEW))
        assert (await answer_with(service, challenge, enrolled.app.fresh(), **at(NEW))).status_code == 200


@pytest.mark.asvs("16.3.1", "6.3.8")
async def test_the_trail_names_the_account_whose_answers_are_limited_and_the_client_learns_nothing(
    start: StartService,
) -> None:
    """That of a network without an account names the network's limit alone; both are one answer."""
    async with start(**BEHIND_A_PROXY, rate_limit_signin="2/15minutes") as service:
        enrolled, _ = await owner_at_home(service)
        _, auditor = await service.signed_in(Role.AUDITOR)
        answers = []
        for _ in range(6):
            challenge = await challenged(service, enrolled.person, **at(NEW))
            answers.append(await answer_with(service, challenge, "000000", **at(NEW)))
        for _ in range(3):
            of_nobody = await asked(service, **at(NEW))
            answers.append(await answer_with(service, of_nobody["challenge"], "000000", **at(NEW)))
        refused = [answers[5].json(), answers[8].json()]
        assert [each.pop("status") for each in refused] == [429, 429]
        assert {each.pop("request_id") is not None for each in refused} == {True}
        assert refused[0] == refused[1]
        anonymous, of_account = await listed(service, auditor, action="signin_limited")
        assert (of_account["target_type"], of_account["target_id"]) == ("user", str(enrolled.person.id))
        assert (of_account["actor"], of_account["details"]) == (None, {"by": "account"})
        assert (anonymous["target_id"], anonymous["details"]) == (None, {"by": "network"})
