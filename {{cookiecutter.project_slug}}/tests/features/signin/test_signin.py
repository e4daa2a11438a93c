"""Signing in with address and password."""

import asyncio
from datetime import timedelta

import httpx2
import pytest
import time_machine
from sqlalchemy import select

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.accounts.models import User
from tests.conftest import StartService
from tests.support.access import permissions_of
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio


def shape(answer: httpx2.Response) -> tuple[int, dict[str, object], set[str]]:
    """What two answers must have in common to be told apart by nobody."""
    body = {key: value for key, value in answer.json().items() if key != "request_id"}
    return answer.status_code, body, set(answer.headers)


async def test_gives_the_tokens_of_rfc_6749(service: Service) -> None:
    """Five fields, no cache, and an access token that opens what the roles allow."""
    person = await service.person(Role.AUDITOR)
    answer = await service.try_sign_in(person.email, person.password)
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 600)
    assert body["scope"].split() == sorted(permissions_of([Role.AUDITOR]))
    assert answer.headers["Cache-Control"] == "no-store"
    me = (await service.whoami(tokens_of(answer))).json()
    assert (me["id"], me["email"], me["roles"]) == (str(person.id), person.email, ["auditor"])


@pytest.mark.asvs("6.3.8")
async def test_unknown_wrong_and_disabled_get_the_same_answer(service: Service) -> None:
    """Nobody learns from an answer who has an account."""
    person, disabled = await service.person(), await service.person()
    _, admin = await service.signed_in(Role.ADMIN)
    await service.client.patch(f"/api/v1/users/{disabled.id}", json={"disabled": True}, headers=admin.bearer)
    wrong = await service.try_sign_in(person.email, "not the right password")
    assert wrong.status_code == 401
    assert shape(await service.try_sign_in("nobody@people.example", person.password)) == shape(wrong)
    assert shape(await service.try_sign_in(disabled.email, disabled.password)) == shape(wrong)
    assert shape(await service.try_sign_in("no address at all", "x")) == shape(wrong)


@pytest.mark.asvs("6.2.10")
async def test_a_password_does_not_expire(service: Service) -> None:
    """Nobody has to change it for its age: three years later it signs in."""
    person = await service.person()
    with time_machine.travel(utc_now() + timedelta(days=3 * 365)):
        assert (await service.try_sign_in(person.email, person.password)).status_code == 200


@pytest.mark.parametrize("spelling", ["Ada@People.example", "ADA@PEOPLE.EXAMPLE", "\uff41da@people.example"])
async def test_the_spelling_of_an_address_does_not_matter(service: Service, spelling: str) -> None:
    """Case and width of the letters lead to the same account."""
    person = await service.person(email="ada@people.example")
    assert (await service.try_sign_in(spelling, person.password)).status_code == 200


@pytest.mark.parametrize("around", [" {}", "{}\t", "\r\n {} \f"])
async def test_a_blank_around_the_address_does_not_matter(start: StartService, around: str) -> None:
    """A browser strips it from a field for addresses; it leads to the same account, and to the same count."""
    async with start(rate_limit_signin="2/hour") as service:
        person = await service.person()
        email = around.format(person.email)
        for _ in range(3):
            assert (await service.try_sign_in(email, person.password)).status_code == 200
        answers = [await service.try_sign_in(address, "wrong") for address in (email, person.email, email)]
        assert [answer.status_code for answer in answers] == [401, 401, 429]


@pytest.mark.asvs("6.3.1")
async def test_failures_are_limited_for_an_account(start: StartService) -> None:
    """After the limit even the right password is not looked at, and the answer says when to come back."""
    async with start(rate_limit_signin="3/hour") as service:
        person = await service.person()
        for _ in range(3):
            assert (await service.try_sign_in(person.email, "wrong")).status_code == 401
        refused = await service.try_sign_in(person.email, person.password)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 3600


async def test_a_sign_in_that_succeeds_is_not_counted(start: StartService) -> None:
    """Whoever has the password can use it as often as they like."""
    async with start(rate_limit_signin="2/hour") as service:
        person = await service.person()
        for _ in range(5):
            await service.sign_in(person)


@pytest.mark.asvs("6.3.1", "2.4.1")
async def test_parallel_attempts_do_not_slip_through(start: StartService) -> None:
    """Of twenty at once exactly as many are looked at as the limit says."""
    async with start(rate_limit_signin="4/hour") as service:
        person = await service.person()
        answers = await asyncio.gather(*(service.try_sign_in(person.email, "wrong") for _ in range(20)))
        statuses = [answer.status_code for answer in answers]
        assert (statuses.count(401), statuses.count(429)) == (4, 16)


async def test_an_address_that_tries_many_accounts_is_limited(start: StartService) -> None:
    """One try at each of many accounts is many tries of one address."""
    async with start(rate_limit_signin="3/hour") as service:
        statuses = [(await service.try_sign_in(f"{n}@people.example", "wrong")).status_code for n in range(5)]
        assert statuses == [401, 401, 401, 429, 429]


@pytest.mark.asvs("6.3.1", "6.1.1")
async def test_an_attacker_elsewhere_does_not_lock_the_owner_out(start: StartService) -> None:
    """From an address that the account knows, the owner gets in while all others are refused."""
    async with start(rate_limit_signin="3/hour", trusted_proxies="127.0.0.1") as service:
        person = await service.person()
        home = {"headers": {"X-Forwarded-For": "192.0.2.1"}}
        await service.sign_in(person, **home)
        for attacker in range(4):
            elsewhere = {"headers": {"X-Forwarded-For": f"198.51.100.{attacker}"}}
            last = await service.try_sign_in(person.email, "wrong", **elsewhere)
        assert last.status_code == 429
        await service.sign_in(person, **home)


@pytest.mark.owasp_argon2id
@pytest.mark.asvs("11.4.2")
async def test_passwords_are_stored_as_argon2id_at_owasps_parameters(service: Service) -> None:
    """m=19456 KiB, t=2, p=1."""
    person = await service.person()
    async with service[Database].read() as db:
        stored = await db.scalar(select(User.password_hash).where(User.id == person.id))
    assert stored is not None
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "body",
    [
        {"email": "a@b.example"},
        {"email": "a@b.example", "password": ""},
        {"email": "a@b.example", "password": 1},
        {"email": ["a@b.example"], "password": "x"},
        {"email": "a@b.example", "password": "x", "admin": True},
        {"email": "a@b.example", "password": "x" * 1025},
        [],
    ],
    ids=str,
)
async def test_a_body_that_breaks_a_rule_is_refused_without_an_echo(service: Service, body: object) -> None:
    """Strict types, no unknown field, bounded texts; and the answer repeats nothing."""
    answer = await service.client.post("/api/v1/signin", json=body)
    assert answer.status_code == 422
    assert "a@b.example" not in answer.text
