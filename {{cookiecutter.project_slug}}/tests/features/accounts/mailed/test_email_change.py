"""Another e-mail address for an account."""

import asyncio
from datetime import timedelta

import httpx2
import pytest
import time_machine

from app.core.clock import utc_now
from tests.conftest import StartService
from tests.support.api.account_mail import PASSWORD, TOKEN, Post
from tests.support.records.mail import Mailbox
from tests.support.service import Person, Service, Tokens

pytestmark = pytest.mark.anyio

NEW = "new@people.example"


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who move and read their mail."""
    return Post(service, mailbox)


async def ask(post: Post, person: Person, tokens: Tokens, new: str = NEW, password: str = "") -> httpx2.Response:
    """Ask for another address."""
    body = {"new_email": new, "current_password": password or person.password}
    return await post("/users/me/email", body, headers=tokens.bearer)


async def confirm(post: Post, token: str) -> int:
    """Confirm it: the status."""
    return (await post("/accounts/email/confirm", {"token": token})).status_code


@pytest.mark.asvs("7.5.1", "6.3.7")
async def test_changes_the_address_and_tells_the_old_one(post: Post) -> None:
    """Nothing changes before the token comes back from the new address; then the old one no longer signs in."""
    person, tokens = await post.service.signed_in()
    assert (await ask(post, person, tokens)).status_code == 202
    assert not TOKEN.search(await post.text(person.email))
    assert (await post.service.whoami(tokens)).json()["email"] == person.email
    token = await post.token(NEW)
    assert token.startswith("eml_")
    assert await confirm(post, token) == 204
    assert (await post.service.whoami(tokens)).json()["email"] == NEW
    await post.service.sign_in(Person(person.id, NEW, person.password))
    assert (await post.service.try_sign_in(person.email, person.password)).status_code == 401
    assert "no longer this one" in await post.text(person.email, 2)
    assert await confirm(post, token) == 400


@pytest.mark.asvs("6.4.1")
async def test_a_token_lives_for_an_hour(post: Post) -> None:
    """At 61 minutes the address is the old one still, at 59 it can be changed."""
    person, tokens = await post.service.signed_in()
    assert (await ask(post, person, tokens)).status_code == 202
    token = await post.token(NEW)
    with time_machine.travel(utc_now() + timedelta(minutes=61)):
        assert await confirm(post, token) == 400
    with time_machine.travel(utc_now() + timedelta(minutes=59)):
        assert await confirm(post, token) == 204


@pytest.mark.asvs("7.5.1")
async def test_asks_for_the_password_and_limits_the_guesses(start: StartService, mailbox: Mailbox) -> None:
    """A stolen token cannot take the account, nor try passwords; the other routes share the count."""
    async with start(rate_limit_signin="3/hour", trusted_proxies="127.0.0.1") as service:
        post = Post(service, mailbox)
        person, tokens = await service.signed_in()
        assert (await ask(post, person, tokens, password="wrong")).status_code == 403
        body = {"current_password": "wrong", "new_password": PASSWORD}
        assert (await post("/users/me/password", body, headers=tokens.bearer)).status_code == 403
        deletion = {"current_password": "wrong"}
        answer = await service.client.request("DELETE", "/api/v1/users/me", json=deletion, headers=tokens.bearer)
        assert answer.status_code == 403
        answer = await ask(post, person, tokens)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 3600
        assert mailbox.messages(NEW) == []


@pytest.mark.asvs("6.3.8")
async def test_an_address_that_is_taken_gets_the_same_answer(post: Post) -> None:
    """Its owner is told, whoever asked is not, and no token is mailed."""
    other = await post.service.person()
    person, tokens = await post.service.signed_in()
    taken, free = await ask(post, person, tokens, other.email), await ask(post, person, tokens)
    assert (taken.status_code, taken.content, set(taken.headers)) == (free.status_code, free.content, set(free.headers))
    text = await post.text(other.email)
    assert "already" in text
    assert not TOKEN.search(text)
    assert await confirm(post, await post.token(NEW)) == 204


@pytest.mark.asvs("6.3.8")
async def test_the_copy_of_my_data_does_not_tell_who_has_the_address(post: Post) -> None:
    """What is kept about whoever asked is the same: a token that is waited for, and word to their own address."""
    taken = (await post.service.person()).email
    for new in (taken, NEW):
        person, tokens = await post.service.signed_in()
        assert (await ask(post, person, tokens, new)).status_code == 202
        kept = (await post.service.client.get("/api/v1/users/me/export", headers=tokens.bearer)).json()
        assert [(token["kind"], token["email"]) for token in kept["mailed_tokens"]] == [("eml", new)]
        assert {mail["kind"] for mail in kept["waiting_mail"]} <= {"email_change_requested"}


async def test_two_accounts_cannot_get_one_address(post: Post) -> None:
    """Both were mailed a token to it: whoever confirms first has it, the other is told, and keeps their own."""
    (one, ones), (two, twos) = await post.service.signed_in(), await post.service.signed_in()
    assert (await ask(post, one, ones)).status_code == 202
    assert (await ask(post, two, twos, NEW.upper())).status_code == 202
    first, second = await post.token(NEW), await post.token("NEW@people.example")
    assert await confirm(post, second) == 204
    assert await confirm(post, first) == 409
    assert (await post.service.whoami(ones)).json()["email"] == one.email


@pytest.mark.asvs("2.3.4")
async def test_of_fifty_parallel_uses_one_succeeds(post: Post) -> None:
    """The change is made once."""
    person, tokens = await post.service.signed_in()
    await ask(post, person, tokens)
    token = await post.token(NEW)
    statuses = await asyncio.gather(*(confirm(post, token) for _ in range(50)))
    assert (statuses.count(204), statuses.count(400)) == (1, 49)


async def test_a_reset_stops_a_change_that_waits(post: Post) -> None:
    """The owner, warned at the old address, sets a password: the token to the new address is dead."""
    person, tokens = await post.service.signed_in()
    await ask(post, person, tokens)
    token = await post.token(NEW)
    await post.text(person.email)
    await post.forgot(person.email)
    assert await post.reset(await post.token(person.email, 2)) == 204
    assert await confirm(post, token) == 400


async def test_who_only_registered_an_address_does_not_keep_it_from_its_owner(post: Post) -> None:
    """An account that nobody confirmed gives way to the one whose owner has shown that the mailbox is theirs."""
    await post.register(NEW)
    squatters = await post.token(NEW)
    person, tokens = await post.service.signed_in()
    assert (await ask(post, person, tokens)).status_code == 202
    assert await confirm(post, await post.token(NEW, 2)) == 204
    assert await post.verify(squatters) == 400
    await post.service.sign_in(Person(person.id, NEW, person.password))


async def test_another_spelling_of_my_own_address_is_mine(post: Post) -> None:
    """Not taken by myself."""
    person, tokens = await post.service.signed_in()
    spelling = person.email.upper().replace("EXAMPLE", "example").replace("PEOPLE", "people")
    assert (await ask(post, person, tokens, spelling)).status_code == 202
    assert await confirm(post, await post.token(spelling)) == 204
    assert (await post.service.whoami(tokens)).json()["email"] == spelling


@pytest.mark.asvs("2.4.1")
async def test_strangers_do_not_use_up_the_mails_of_an_address(post: Post) -> None:
    """Another account had all the mails that it may ask for: whose address it is gets theirs, and changes to it."""
    stranger, token = await post.service.signed_in()
    for _ in range(6):
        assert (await ask(post, stranger, token)).status_code == 202
    person, tokens = await post.service.signed_in()
    assert (await ask(post, person, tokens)).status_code == 202
    assert await confirm(post, await post.token(NEW, 6)) == 204
    assert (await post.service.whoami(tokens)).json()["email"] == NEW


@pytest.mark.asvs("2.4.1")
async def test_an_account_asks_for_five_mails_an_hour(post: Post) -> None:
    """Whichever addresses it names, and it is not told when it had them."""
    person, tokens = await post.service.signed_in()
    answers = [await ask(post, person, tokens, f"new{number}@people.example") for number in range(7)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"null")}
    await post.text(person.email, 5)
    assert [len(post.mailbox.messages(f"new{number}@people.example")) for number in range(7)] == [1] * 5 + [0] * 2
