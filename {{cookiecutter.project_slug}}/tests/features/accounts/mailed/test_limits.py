"""How much mail can be asked for."""

import asyncio

import pytest

from app.access.roles import Role
from tests.conftest import StartService
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.records.mail import Mailbox
from tests.support.service import Service

pytestmark = pytest.mark.anyio

REQUESTS = [
    ("/accounts", {"email": "{}@people.example", "password": PASSWORD}),
    ("/accounts/password/forgot", {"email": "{}@people.example"}),
    ("/users/me/email", {"new_email": "{}@people.example", "current_password": PASSWORD}),
    ("/invitations", {"email": "{}@people.example"}),
]


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who ask for mail."""
    return Post(service, mailbox)


@pytest.mark.asvs("2.4.1", "6.3.1")
@pytest.mark.parametrize(("path", "body"), REQUESTS, ids=lambda each: each if isinstance(each, str) else "")
async def test_a_client_that_asks_too_often_is_told_so(
    start: StartService, mailbox: Mailbox, path: str, body: dict[str, str]
) -> None:
    """429 with when to come back, whatever it claims to be; another client is served."""
    async with start(rate_limit_signin="3/hour", trusted_proxies="127.0.0.1") as service:
        person = await service.person(Role.ADMIN, password=PASSWORD)
        admin = await service.sign_in(person)

        async def ask(number: int, client: str) -> tuple[int, str]:
            filled = {key: value.format(number) for key, value in body.items()}
            headers = {**admin.bearer, "X-Forwarded-For": client}
            answer = await Post(service, mailbox)(path, filled, headers=headers)
            return answer.status_code, answer.headers.get("Retry-After", "")

        answers = [await ask(number, f"198.51.100.{number}, 192.0.2.1") for number in range(5)]
        assert [status for status, _ in answers] == [202, 202, 202, 429, 429]
        assert 1 <= int(answers[-1][1]) <= 3600
        assert (await ask(9, "192.0.2.2"))[0] == 202


@pytest.mark.asvs("2.4.1", "6.3.8")
async def test_nobody_floods_a_mailbox(post: Post) -> None:
    """Many times, also under tags and in other cases: five mails an hour, five to all tags; no answer tells."""
    await post.service.person(email="ada@people.example")
    spellings = ["ada@people.example", "ADA@people.example", "ada+1@people.example", "ada+2@people.example"] * 3
    for path in ("/accounts/password/forgot", "/accounts"):
        bodies = [{"email": email} | ({"password": PASSWORD} if path == "/accounts" else {}) for email in spellings]
        answers = [await post(path, body) for body in bodies]
        assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"null")}
    other = await post.service.person()
    await post.forgot(other.email)
    await post.token(other.email)
    assert len(list(post.mailbox.folder.glob("*.eml"))) == 15 + 1


@pytest.mark.asvs("6.3.1")
async def test_who_fills_a_mailbox_keeps_nobody_from_a_reset(post: Post) -> None:
    """The last token that was mailed works, although more were asked for."""
    person = await post.service.person()
    for _ in range(8):
        await post.forgot(person.email)
    assert await post.reset(await post.token(person.email, 5)) == 204


async def test_over_the_limit_a_registration_still_spoils_a_strangers_password(post: Post) -> None:
    """Who registers an address five times does not have their password confirmed by its owner, who comes sixth."""
    for _ in range(5):
        await post.register("ada@people.example", "ten words that a stranger has thought of")
    await post.register("ada@people.example")
    assert await post.verify(await post.token("ada@people.example", 5)) == 204
    answer = await post.service.try_sign_in("ada@people.example", "ten words that a stranger has thought of")
    assert answer.status_code == 401
    assert (await post.token("ada@people.example", 6)).startswith("pwr_")


async def test_parallel_requests_do_not_slip_through(post: Post) -> None:
    """Of twenty at once, five are mailed."""
    person, other = await post.service.person(), await post.service.person()
    await asyncio.gather(*(post.forgot(person.email) for _ in range(20)))
    await post.forgot(other.email)
    await post.token(other.email)
    assert len(post.mailbox.messages(person.email)) == 5


async def test_an_administrator_is_told_that_a_mailbox_had_its_share(post: Post) -> None:
    """Whoever may see accounts learns nothing by it."""
    _, admin = await post.service.signed_in(Role.ADMIN)
    body = {"email": "ada@people.example"}
    statuses = [(await post("/invitations", body, headers=admin.bearer)).status_code for _ in range(6)]
    assert statuses == [202] * 5 + [429]


@pytest.mark.asvs("2.4.1")
async def test_many_accounts_do_not_flood_the_holder_of_an_address(post: Post) -> None:
    """Two accounts ask eight times for somebody's address: five mails to its holder, one each to who asked."""
    holder = await post.service.person()
    for _ in range(2):
        person, tokens = await post.service.signed_in()
        body = {"new_email": holder.email, "current_password": person.password}
        statuses = {(await post("/users/me/email", body, headers=tokens.bearer)).status_code for _ in range(4)}
        assert statuses == {202}
    other = await post.service.person()
    await post.forgot(other.email)
    await post.token(other.email)
    assert [len(post.mailbox.messages(email)) for email in (holder.email, person.email)] == [5, 4]
