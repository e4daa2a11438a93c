"""A forgotten password: a mail to whoever has the mailbox, and a new password for its token."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from app.access.roles import Role
from app.core.database.database import Database
from app.features.accounts.mailed.tokens import lock_mailbox
from tests.conftest import StartService
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.http.timing import ALIKE, tell_apart
from tests.support.records.mail import Mailbox
from tests.support.service import Person, Service

pytestmark = pytest.mark.anyio

HOME = {"X-Forwarded-For": "192.0.2.1"}


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who forget their passwords and read their mail."""
    return Post(service, mailbox)


@pytest.mark.asvs("6.4.3", "7.4.3")
async def test_sets_a_new_password_and_ends_every_session(post: Post) -> None:
    """The new one works, the old one and every token do not; the owner is told, and the token works once."""
    person, tokens = await post.service.signed_in()
    elsewhere = await post.service.sign_in(person)
    await post.forgot(person.email.upper())
    token = await post.token(person.email)
    assert token.startswith("pwr_")
    assert await post.reset(token) == 204
    for each in (tokens, elsewhere):
        assert (await post.service.whoami(each)).status_code == 401
        assert (await post.service.refresh(each.refresh)).status_code == 400
    assert (await post.service.try_sign_in(person.email, person.password)).status_code == 401
    await post.service.sign_in(Person(person.id, person.email, PASSWORD))
    assert "was changed" in await post.text(person.email, 2)
    assert await post.reset(token, "another password for it") == 400
    await post.service.sign_in(Person(person.id, person.email, PASSWORD))


@pytest.mark.asvs("6.3.8")
async def test_unknown_and_disabled_accounts_get_the_same_answer_and_no_mail(post: Post) -> None:
    """The mail to somebody else, asked for last, is the only one, beside the one that tells of the disabling."""
    disabled, person = await post.service.person(), await post.service.person()
    _, admin = await post.service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{disabled.id}"
    await post.service.client.patch(path, json={"disabled": True}, headers=admin.bearer)
    answers = [
        await post("/accounts/password/forgot", {"email": email})
        for email in ("nobody@people.example", disabled.email, person.email)
    ]
    assert len({(each.status_code, each.content, frozenset(each.headers)) for each in answers}) == 1
    await post.token(person.email)
    assert len(list(post.mailbox.folder.glob("*.eml"))) == 2
    (told,) = await post.mailbox.wait(disabled.email)
    assert "pwr_" not in told.as_string()


@pytest.mark.asvs("6.3.8")
async def test_the_time_does_not_tell_who_has_an_account(start: StartService) -> None:
    """Known and unknown addresses, interleaved: whoever guesses by the time is right no more often than by chance."""
    async with start(rate_limit_signin="100000/minute") as service:
        people = itertools.cycle([await service.person() for _ in range(60)])
        numbers = itertools.count()

        async def forgot(email: str) -> None:
            answer = await service.client.post("/api/v1/accounts/password/forgot", json={"email": email})
            assert answer.status_code == 202

        found = await tell_apart(lambda: forgot(next(people).email), lambda: forgot(f"{next(numbers)}@people.example"))
        assert found < ALIKE


@pytest.mark.asvs("2.3.4", "6.4.3")
async def test_of_fifty_parallel_uses_one_succeeds(post: Post) -> None:
    """Each with a password of its own: one is set, and it is the one that was told so."""
    person = await post.service.person()
    await post.forgot(person.email)
    token = await post.token(person.email)
    passwords = [f"parallel password number {number}" for number in range(50)]
    statuses = await asyncio.gather(*(post.reset(token, password) for password in passwords))
    assert (statuses.count(204), statuses.count(400)) == (1, 49)
    await post.service.sign_in(Person(person.id, person.email, passwords[statuses.index(204)]))


@pytest.mark.asvs("6.4.1", "6.5.5")
async def test_a_token_lives_for_an_hour(post: Post) -> None:
    """At 61 minutes it is dead."""
    person = await post.service.person()
    await post.forgot(person.email)
    token = await post.token(person.email)
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=61)):
        assert await post.reset(token) == 400
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=59)):
        assert await post.reset(token) == 204


async def test_a_newer_token_kills_the_older_one(post: Post) -> None:
    """Only the last mail counts."""
    person = await post.service.person()
    await post.forgot(person.email)
    old = await post.token(person.email)
    await post.forgot(person.email)
    new = await post.token(person.email, 2)
    assert await post.reset(old) == 400
    assert await post.reset(new) == 204


async def test_a_token_dies_with_a_change_of_password_or_address(post: Post) -> None:
    """Whoever reads an old mail cannot undo what was done since."""
    for change in ("password", "address"):
        person, tokens = await post.service.signed_in()
        await post.forgot(person.email)
        token = await post.token(person.email)
        if change == "password":
            body = {"current_password": person.password, "new_password": PASSWORD}
            assert (await post("/users/me/password", body, headers=tokens.bearer)).status_code == 204
        else:
            body = {"current_password": person.password, "new_email": f"new.{person.email}"}
            assert (await post("/users/me/email", body, headers=tokens.bearer)).status_code == 202
            confirmation = {"token": await post.token(body["new_email"])}
            assert (await post("/accounts/email/confirm", confirmation)).status_code == 204
        assert await post.reset(token) == 400


async def test_a_refused_password_leaves_the_token_as_it_was(post: Post) -> None:
    """Too short is 422, and the next try works."""
    person = await post.service.person()
    await post.forgot(person.email)
    token = await post.token(person.email)
    assert await post.reset(token, "x" * 14) == 422
    assert await post.reset(token) == 204


@pytest.mark.asvs("6.6.2", "9.2.2")
async def test_tokens_are_bound_to_their_purpose(post: Post) -> None:
    """One for a password does not confirm an address, one for an address sets no password, neither signs anybody in."""
    person = await post.service.person()
    await post.forgot(person.email)
    await post.register("new@people.example")
    reset, verify = await post.token(person.email), await post.token("new@people.example")
    assert await post.verify(reset) == 400
    assert await post.reset(verify) == 400
    for token in (reset, verify, f"vrf{reset[3:]}", f"pwr{verify[3:]}"):
        assert (await post("/accounts/email/confirm", {"token": token})).status_code == 400
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await post.service.client.get("/api/v1/users/me", headers=bearer)).status_code == 401
        assert (await post.service.refresh(token)).status_code == 400
    assert await post.verify(f"vrf{reset[3:]}") == 400
    assert await post.reset(f"pwr{verify[3:]}") == 400
    assert await post.verify(verify) == 204
    assert await post.reset(reset) == 204


@pytest.mark.asvs("6.3.1", "6.3.4")
async def test_no_lock_holds_against_the_owner_after_a_reset(start: StartService, mailbox: Mailbox) -> None:
    """The account had its share of failures, from elsewhere and from the owner's own address: the owner gets in."""
    async with start(rate_limit_signin="5/hour", trusted_proxies="127.0.0.1") as service:
        post, person = Post(service, mailbox), await service.person()
        for address in (*["192.0.2.1"] * 5, "198.51.100.1"):
            last = await service.try_sign_in(person.email, "wrong", headers={"X-Forwarded-For": address})
        assert last.status_code == 429
        assert (await service.try_sign_in(person.email, person.password, headers=HOME)).status_code == 429
        await post.forgot(person.email)
        assert await post.reset(await post.token(person.email), headers=HOME) == 204
        await service.sign_in(Person(person.id, person.email, PASSWORD), headers=HOME)
        # For that account alone: the address had its share for all others.
        assert (await service.try_sign_in("other@people.example", "wrong", headers=HOME)).status_code == 429


async def test_the_owner_who_failed_at_home_gets_in_after_a_reset(start: StartService, mailbox: Mailbox) -> None:
    """At home they had their share: the new password gets in, and the count stays as it is for all others there."""
    async with start(rate_limit_signin="3/hour", trusted_proxies="127.0.0.1") as service:
        post, person = Post(service, mailbox), await service.person()
        await service.sign_in(person, headers=HOME)
        statuses = [(await service.try_sign_in(person.email, "wrong", headers=HOME)).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        await post.forgot(person.email)
        assert await post.reset(await post.token(person.email), headers=HOME) == 204
        await service.sign_in(Person(person.id, person.email, PASSWORD), headers=HOME)
        assert (await service.try_sign_in(person.email, "wrong", headers=HOME)).status_code == 429
        await service.sign_in(Person(person.id, person.email, PASSWORD), headers=HOME)


async def test_the_address_of_a_reset_is_no_session(post: Post) -> None:
    """What the service remembers of the address is not listed, and can be no part of a token."""
    person = await post.service.person()
    await post.forgot(person.email)
    assert await post.reset(await post.token(person.email)) == 204
    tokens = await post.service.sign_in(Person(person.id, person.email, PASSWORD))
    listed = (await post.service.client.get("/api/v1/sessions", headers=tokens.bearer)).json()["items"]
    assert [each["current"] for each in listed] == [True]


async def test_a_reset_confirms_the_address(post: Post) -> None:
    """Whoever lost the first mail can begin with a new password: it shows that the mailbox is theirs as well."""
    await post.register("ada@people.example")
    await post.token("ada@people.example")
    await post.forgot("ada@people.example")
    assert await post.reset(await post.token("ada@people.example", 2), "other words that are chosen now") == 204
    answer = await post.service.try_sign_in("ada@people.example", "other words that are chosen now")
    assert answer.status_code == 200


@pytest.mark.asvs("6.3.4")
async def test_a_token_opens_no_disabled_account(post: Post) -> None:
    """Disabled after the mail: the token is refused, and the account stays disabled."""
    person = await post.service.person()
    _, admin = await post.service.signed_in(Role.ADMIN)
    await post.forgot(person.email)
    token = await post.token(person.email)
    path = f"/api/v1/users/{person.id}"
    await post.service.client.patch(path, json={"disabled": True}, headers=admin.bearer)
    assert await post.reset(token) == 400
    assert (await post.service.client.get(path, headers=admin.bearer)).json()["disabled"] is True


@pytest.mark.asvs("6.3.8")
@pytest.mark.parametrize("known", [True, False])
async def test_parallel_requests_for_an_address_wait_for_each_other(start: StartService, *, known: bool) -> None:
    """Whether it has an account or not: otherwise the time of a few at once would tell."""
    async with start() as service, start() as other:
        email = (await service.person()).email if known else "nobody@people.example"
        async with other[Database].transaction() as db:
            await lock_mailbox(db, email)
            second = asyncio.ensure_future(
                service.client.post("/api/v1/accounts/password/forgot", json={"email": email})
            )
            await asyncio.wait({second}, timeout=0.5)
            assert not second.done()
        assert (await second).status_code == 202
