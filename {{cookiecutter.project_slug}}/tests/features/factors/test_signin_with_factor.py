"""Signing in with a second factor: a challenge that opens nothing else, advanced by one right answer."""

import pytest
import time_machine

from app.core.clock import utc_now
from tests.features.factors.steps import FACTORS, answer_with, challenged, sign_in_with_app, with_app
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("6.3.3", "2.3.1")
async def test_a_factor_completes_the_sign_in(service: Service) -> None:
    """The password gives a challenge with the kinds that answer it, and the code the tokens that a sign-in gives."""
    enrolled = await with_app(service)
    answer = await service.try_sign_in(enrolled.person.email, enrolled.person.password)
    assert answer.status_code == 200
    body = answer.json()
    assert {*body} == {"status", "challenge", "expires_in", "factors"}
    assert body["factors"] == [{"kind": "totp"}, {"kind": "recovery_codes"}]
    answer = await answer_with(service, body["challenge"], enrolled.app.fresh())
    assert answer.status_code == 200
    assert (await service.whoami(tokens_of(answer))).json()["email"] == enrolled.person.email


@pytest.mark.asvs("9.2.2", "2.3.1")
async def test_a_challenge_opens_nothing_else(service: Service) -> None:
    """It is no access token, no refresh token and no token of a mail, and none of those is a challenge."""
    enrolled = await with_app(service)
    challenge = await challenged(service, enrolled.person)
    bearer = {"Authorization": f"Bearer {challenge}"}
    assert (await service.client.get("/api/v1/users/me", headers=bearer)).status_code == 401
    assert (await service.client.get(FACTORS, headers=bearer)).status_code == 401
    assert (await service.refresh(challenge)).status_code == 400
    reset = {"token": challenge, "new_password": "unrelated words of a song"}
    assert (await service.client.post("/api/v1/accounts/password/reset", json=reset)).status_code == 400
    for other in (enrolled.tokens.access[:128], enrolled.tokens.refresh, "sc_" + "A" * 43):
        assert (await answer_with(service, other, enrolled.app.code())).status_code == 401
    assert (await answer_with(service, challenge, enrolled.app.fresh())).status_code == 200


@pytest.mark.asvs("6.5.5")
@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (0, 200), (1, 200), (2, 401)])
async def test_a_code_is_right_for_one_time_step_and_those_beside_it(service: Service, steps: int, status: int) -> None:
    """Two steps away it is wrong; the one before was used to add the app."""
    with time_machine.travel(utc_now(), tick=False):
        enrolled = await with_app(service)
        answer = await answer_with(service, await challenged(service, enrolled.person), enrolled.app.code(steps))
        assert answer.status_code == status


@pytest.mark.asvs("6.5.1")
async def test_a_code_is_used_once_and_no_older_one_after_it(service: Service) -> None:
    """Neither the code that added the app, nor one that signed in, nor one before it is right again."""
    with time_machine.travel(utc_now(), tick=False):
        enrolled = await with_app(service)
        first = await challenged(service, enrolled.person)
        assert (await answer_with(service, first, enrolled.app.code(-1))).status_code == 401
        assert (await answer_with(service, first, enrolled.app.code(1))).status_code == 200
        second = await challenged(service, enrolled.person)
        for steps in (-1, 0, 1):
            assert (await answer_with(service, second, enrolled.app.code(steps))).status_code == 401


@pytest.mark.asvs("6.6.3")
async def test_five_wrong_answers_are_all_that_are_checked(service: Service) -> None:
    """The sixth is refused unchecked, even if it is right, for this challenge and for another one."""
    enrolled = await with_app(service)
    challenge, other = await challenged(service, enrolled.person), await challenged(service, enrolled.person)
    wrong = [(await answer_with(service, challenge, "000000")).status_code for _ in range(5)]
    assert wrong == [401] * 5
    for each in (challenge, other):
        refused = await answer_with(service, each, enrolled.app.code())
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0


async def test_a_challenge_ends_after_five_minutes(service: Service) -> None:
    """And when it was used; both are the same answer as one that never was."""
    with time_machine.travel(utc_now(), tick=False) as clock:
        enrolled = await with_app(service)
        challenge, used = [await challenged(service, enrolled.person) for _ in range(2)]
        assert (await answer_with(service, used, enrolled.app.code())).status_code == 200
        clock.shift(301)
        answers = [await answer_with(service, each, enrolled.app.code()) for each in (challenge, used, "sc_none")]
        assert {(answer.status_code, answer.json()["detail"]) for answer in answers} == {
            (401, "The sign-in has ended. Begin again.")
        }


async def test_wrong_passwords_tell_nothing_about_factors(service: Service) -> None:
    """Status, type and detail are those of an account without a factor."""
    enrolled, other = await with_app(service), await service.person()
    answers = [await service.try_sign_in(person.email, "not it") for person in (enrolled.person, other)]
    assert (
        len({(answer.status_code, answer.json()["detail"], answer.headers["Content-Type"]) for answer in answers}) == 1
    )


async def test_a_full_sign_in_is_multi_factor(service: Service) -> None:
    """The session says so, and the password alone opens none."""
    enrolled = await with_app(service)
    tokens = await sign_in_with_app(service, enrolled)
    assert (await service.whoami(tokens)).status_code == 200
    assert (await service.client.get("/api/v1/sessions", headers=tokens.bearer)).status_code == 200
