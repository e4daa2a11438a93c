"""Registration: an account for whoever shows that the mailbox is theirs."""

import asyncio
import itertools
import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import time_machine
from sqlalchemy import func, select

from app.access.roles import Role
from app.core.database.database import Database
from app.features.accounts.models import AccountToken, User
from tests.conftest import StartService
from tests.support.api.account_mail import PASSWORD, TOKEN, Post
from tests.support.http.timing import ALIKE, tell_apart
from tests.support.records.mail import Mailbox
from tests.support.service import Person, Service

pytestmark = pytest.mark.anyio

ADA = "ada@people.example"
OTHER = "nine other words that stand here instead"


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who register and read their mail."""
    return Post(service, mailbox)


def shape(answer: httpx2.Response) -> tuple[int, bytes, set[str]]:
    """What two answers must have in common to be told apart by nobody."""
    return answer.status_code, answer.content, set(answer.headers)


async def accounts(service: Service) -> int:
    """How many accounts there are."""
    async with service[Database].read() as db:
        return int(await db.scalar(select(func.count()).select_from(User)) or 0)


@pytest.mark.asvs("6.4.1")
async def test_registers_verifies_and_signs_in(post: Post) -> None:
    """The token of the mail opens the account, once; it is a member's, with the name that was given."""
    await post.register(ADA, display_name="Ada")
    assert (await post.service.try_sign_in(ADA, PASSWORD)).status_code == 401
    token = await post.token(ADA)
    assert token.startswith("vrf_")
    assert await post.verify(token) == 204
    answer = await post.service.try_sign_in(ADA, PASSWORD)
    assert answer.status_code == 200
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    me = (await post.service.client.get("/api/v1/users/me", headers=bearer)).json()
    assert (me["email"], me["display_name"], me["roles"], me["email_verified"]) == (ADA, "Ada", ["member"], True)
    assert await post.verify(token) == 400


async def test_the_longest_registration_fits(post: Post) -> None:
    """Each of its fields as long as it may be, also where a client writes every character as an escape."""
    email = f"{'a' * 64}@{'.'.join(['d' * 59] * 3)}.example"
    body = {"email": email, "password": "".join(map(chr, range(0x1F400, 0x1F480))), "display_name": "🎉" * 100}
    headers = {"Content-Type": "application/json"}
    answer = await post.service.client.post("/api/v1/accounts", content=json.dumps(body), headers=headers)
    assert answer.status_code == 202, answer.text


@pytest.mark.asvs("6.3.8", "6.3.4")
async def test_who_is_not_verified_gets_the_answer_of_a_wrong_password(post: Post) -> None:
    """With the right password, to the letter; and administrators see that the address is not confirmed."""
    await post.register(ADA)
    person = await post.service.person()
    unverified = await post.service.try_sign_in(ADA, PASSWORD)
    wrong = await post.service.try_sign_in(person.email, "wrong")
    bodies = [{k: v for k, v in each.json().items() if k != "request_id"} for each in (unverified, wrong)]
    assert unverified.status_code == wrong.status_code == 401
    assert bodies[0] == bodies[1]
    assert set(unverified.headers) == set(wrong.headers)
    _, admin = await post.service.signed_in(Role.ADMIN)
    listed = (await post.service.client.get("/api/v1/users", headers=admin.bearer)).json()["items"]
    assert {each["email"]: each["email_verified"] for each in listed}[ADA] is False


@pytest.mark.asvs("6.3.8")
async def test_a_known_address_gets_the_same_answer_and_its_owner_a_mail(post: Post) -> None:
    """Nothing changes: not the password, not the name, and no token is made; whatever the spelling."""
    person = await post.service.person(email=ADA)
    unknown = await post("/accounts", {"email": "new@people.example", "password": PASSWORD})
    known = await post("/accounts", {"email": "ADA@People.Example", "password": OTHER, "display_name": "Eve"})
    assert shape(known) == shape(unknown)
    text = await post.text(ADA)
    assert "already" in text
    assert not TOKEN.search(text)
    tokens = await post.service.sign_in(person)
    assert (await post.service.whoami(tokens)).json()["display_name"] is None
    assert (await post.service.try_sign_in(ADA, OTHER)).status_code == 401


@pytest.mark.asvs("6.3.8")
@pytest.mark.parametrize("standing", ["confirmed", "waiting"])
async def test_the_time_does_not_tell_who_has_an_account(start: StartService, standing: str) -> None:
    """Known and unknown addresses, interleaved: whoever guesses by the time is right no more often than by chance."""
    async with start(rate_limit_signin="100000/minute") as service:
        numbers = itertools.count()

        async def register(email: str) -> str:
            body = {"email": email, "password": PASSWORD}
            assert (await service.client.post("/api/v1/accounts", json=body)).status_code == 202
            return email

        if standing == "confirmed":
            known = itertools.cycle([(await service.person()).email for _ in range(60)])
        else:
            known = itertools.cycle([await register(f"waiting{number}@people.example") for number in range(60)])
        found = await tell_apart(
            lambda: register(next(known)), lambda: register(f"unknown{next(numbers)}@people.example")
        )
        assert found < ALIKE


@pytest.mark.asvs("2.3.4", "6.4.1")
async def test_of_fifty_parallel_uses_one_succeeds(post: Post) -> None:
    """The token is taken by whoever comes first, by nobody else."""
    await post.register(ADA)
    token = await post.token(ADA)
    statuses = await asyncio.gather(*(post.verify(token) for _ in range(50)))
    assert (statuses.count(204), statuses.count(400)) == (1, 49)


async def test_fifty_parallel_registrations_make_one_account(post: Post) -> None:
    """The same address at once, in two spellings: one account, which its mail opens."""
    spellings = itertools.cycle([ADA, "ADA@people.example"])
    bodies = [{"email": next(spellings), "password": PASSWORD} for _ in range(50)]
    answers = await asyncio.gather(*(post("/accounts", body) for body in bodies))
    assert {answer.status_code for answer in answers} <= {202, 503}
    assert answers[0].status_code == 202
    assert await accounts(post.service) == 1
    async with post.service[Database].read() as db:
        assert await db.scalar(select(func.count()).select_from(AccountToken)) == 1


@pytest.mark.asvs("6.4.1")
async def test_a_token_lives_for_an_hour(post: Post) -> None:
    """At 59 minutes it works, at 61 it does not."""
    await post.register(ADA)
    await post.register("bob@people.example")
    late, early = await post.token(ADA), await post.token("bob@people.example")
    now = datetime.now(UTC)
    with time_machine.travel(now + timedelta(minutes=61)):
        assert await post.verify(late) == 400
    with time_machine.travel(now + timedelta(minutes=59)):
        assert await post.verify(early) == 204


async def test_a_newer_token_kills_the_older_one(post: Post) -> None:
    """Whoever registers again with the same password, because the mail was lost, uses the new mail, and gets in."""
    await post.register(ADA)
    old = await post.token(ADA)
    await post.register(ADA)
    new = await post.token(ADA, 2)
    assert await post.verify(old) == 400
    assert await post.verify(new) == 204
    assert (await post.service.try_sign_in(ADA, PASSWORD)).status_code == 200


@pytest.mark.parametrize("order", ["the stranger first", "the stranger last"])
async def test_a_stranger_cannot_have_their_password_confirmed(post: Post, order: str) -> None:
    """Registered with two passwords, neither holds: the owner of the mailbox chooses one, by a second mail."""
    strangers = "ten words that a stranger has thought of"
    for password in (strangers, PASSWORD) if order == "the stranger first" else (PASSWORD, strangers):
        await post.register(ADA, password, display_name="Eve")
    assert await post.verify(await post.token(ADA, 2)) == 204
    for password in (strangers, PASSWORD):
        assert (await post.service.try_sign_in(ADA, password)).status_code == 401
    token = await post.token(ADA, 3)
    assert token.startswith("pwr_")
    assert await post.reset(token, OTHER) == 204
    tokens = await post.service.try_sign_in(ADA, OTHER)
    assert tokens.status_code == 200


@pytest.mark.asvs("2.3.1")
async def test_closed_registration_is_closed_for_everybody(start: StartService, mailbox: Mailbox) -> None:
    """403 for nobody, member and administrator, whatever the body; closed is what production is unless it is told."""
    for settings in ({"registration": "closed"}, {"environment": "production"}):
        async with start(**settings) as service:
            _, admin = await service.signed_in(Role.ADMIN)
            for headers in ({}, admin.bearer):
                for body in ({"email": ADA, "password": PASSWORD}, {"email": 1}):
                    answer = await service.client.post("/api/v1/accounts", json=body, headers=headers)
                    assert answer.status_code == 403
            assert mailbox.messages(ADA) == []
    async with start(environment="production", registration="open") as service:
        answer = await service.client.post("/api/v1/accounts", json={"email": ADA, "password": PASSWORD})
        assert answer.status_code == 202


@pytest.mark.asvs("2.2.1", "15.3.3", "1.3.3")
@pytest.mark.parametrize(
    "body",
    [
        {"email": ADA},
        {"password": PASSWORD},
        {"email": "no address", "password": PASSWORD},
        {"email": f"{ADA}\r\nBcc: x@y.example", "password": PASSWORD},
        {"email": f"{ADA},eve@people.example", "password": PASSWORD},
        {"email": "\u0430da@people.example", "password": PASSWORD},
        {"email": [ADA], "password": PASSWORD},
        {"email": ADA, "password": "x" * 14},
        {"email": ADA, "password": "x" * 129},
        {"email": ADA, "password": PASSWORD, "roles": ["admin"]},
        {"email": ADA, "password": PASSWORD, "verified_at": "2026-01-01T00:00:00Z"},
        {"email": ADA, "password": PASSWORD, "display_name": "two\nlines"},
        [],
    ],
    ids=ascii,
)
async def test_refuses_what_breaks_a_rule_without_an_echo(post: Post, body: object) -> None:
    """And makes no account."""
    answer = await post.service.client.post("/api/v1/accounts", json=body)
    assert answer.status_code == 422
    assert "people.example" not in answer.text
    assert await accounts(post.service) == 0


@pytest.mark.parametrize("token", ["vrf_" + "A" * 43, "x", "pwr_" + "A" * 43, "vrf_" + "\u0661" * 43, "%s%n"])
async def test_refuses_tokens_that_are_none(post: Post, token: str) -> None:
    """400, and the answer does not repeat it."""
    answer = await post("/accounts/verify", {"token": token})
    assert answer.status_code == 400
    assert token == "x" or token not in answer.text
    assert (await post("/accounts/verify", {"token": ""})).status_code == 422
    assert (await post("/accounts/verify", {"token": "x" * 129})).status_code == 422


async def test_a_disabled_account_is_not_confirmed(post: Post) -> None:
    """Its token opens nothing, and has ended when the account is enabled: a new one opens it."""
    await post.register(ADA)
    token = await post.token(ADA)
    _, admin = await post.service.signed_in(Role.ADMIN)
    listed = (await post.service.client.get("/api/v1/users", headers=admin.bearer)).json()["items"]
    (user_id,) = [each["id"] for each in listed if each["email"] == ADA]
    path = f"/api/v1/users/{user_id}"
    await post.service.client.patch(path, json={"disabled": True}, headers=admin.bearer)
    assert await post.verify(token) == 400
    await post.service.client.patch(path, json={"disabled": False}, headers=admin.bearer)
    assert await post.verify(token) == 400
    await post.register(ADA)
    assert await post.verify(await post.token(ADA, 2)) == 204
    await post.service.sign_in(Person(user_id, ADA, PASSWORD))


async def test_an_account_that_nobody_confirmed_gives_way_to_one_that_an_operator_makes(post: Post) -> None:
    """Who only registers an address keeps nobody from being its administrator."""
    await post.register(ADA)
    token = await post.token(ADA)
    person = await post.service.person(Role.ADMIN, email=ADA)
    assert await post.verify(token) == 400
    await post.service.sign_in(person)
    assert (await post.service.try_sign_in(ADA, PASSWORD)).status_code == 401
