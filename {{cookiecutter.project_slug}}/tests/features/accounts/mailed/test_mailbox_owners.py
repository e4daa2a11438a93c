"""Whose mailbox it is: nobody's mail goes to a look-alike, and nobody keeps an address from its owner."""

import asyncio

import pytest
from pydantic import SecretStr

from app.features.accounts.mailed.mails import MAILS_PER_HOUR
from app.features.accounts.passwords.hasher import PasswordHasher, Verification
from tests.conftest import StartService
from tests.support.api.account_mail import PASSWORD, TOKEN, Post
from tests.support.records.mail import Mailbox
from tests.support.records.trail import stored
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

LIGATURE, FIRST = "\ufb01rst@people.example", "first@people.example"


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who register and read their mail."""
    return Post(service, mailbox)


@pytest.mark.asvs("6.4.1", "2.2.1")
async def test_a_ligature_that_registered_first_gets_no_mail_of_the_owner(post: Post) -> None:
    """Whoever has the mailbox with the ligature: what is sent, goes to the spelling in letters, from the begin."""
    await post.register(LIGATURE)
    token = await post.token(FIRST)
    await post.forgot(FIRST)
    await post.register(FIRST)
    assert len(await post.mailbox.wait(FIRST, 3)) == 3
    assert len(list(post.mailbox.folder.glob("*.eml"))) == 3
    assert await post.verify(token) == 400  # there is a newer one
    assert await post.verify(await post.token(FIRST, 3)) == 204
    assert (await post.service.try_sign_in(FIRST, PASSWORD)).status_code == 200


@pytest.mark.asvs("6.4.1")
@pytest.mark.parametrize(
    ("taken", "own"),
    [
        ("strasse@people.example", "stra\u00dfe@people.example"),
        ("ada@people.example", "ada+news@people.example"),
        ("ada+news@people.example", "ada@people.example"),
        ("ada+news@people.example", "ada+shop@people.example"),
    ],
    ids=ascii,
)
async def test_a_mailbox_that_reads_alike_is_no_obstacle(post: Post, taken: str, own: str) -> None:
    """Its owner registers, and has an account of their own."""
    other = await post.service.person(email=taken)
    await post.register(own)
    assert await post.verify(await post.token(own)) == 204
    assert (await post.service.try_sign_in(own, PASSWORD)).status_code == 200
    assert (await post.service.try_sign_in(own, other.password)).status_code == 401
    await post.service.sign_in(other)
    assert post.mailbox.messages(taken) == []


async def register_from(post: Post, ip: str, *addresses: str) -> None:
    """Register from somewhere."""
    for email in addresses:
        body = {"email": email, "password": PASSWORD}
        assert (await post("/accounts", body, headers={"X-Forwarded-For": ip})).status_code == 202


@pytest.mark.asvs("2.4.1")
async def test_tags_flood_no_mailbox_and_block_nobody(start: StartService, mailbox: Mailbox) -> None:
    """One client gets five of them mailed; the owner, with or without a tag, gets theirs from elsewhere."""
    async with start(rate_limit_signin="100/hour", trusted_proxies="127.0.0.1") as service:
        post = Post(service, mailbox)
        addresses = [f"ada+{number}@people.example" for number in range(10)]
        await register_from(post, "192.0.2.1", *addresses)
        for own in ("ada@people.example", "ada+own@people.example"):
            await register_from(post, "198.51.100.1", own)
            assert TOKEN.search(await post.text(own))
        assert len(list(mailbox.folder.glob("*.eml"))) == MAILS_PER_HOUR.amount + 2


@pytest.mark.asvs("6.3.8")
async def test_registrations_at_once_hash_as_often_whether_there_is_an_account_or_not(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six at once with different passwords: one is compared for each, so that their time does not tell."""
    compared: list[str | None] = []
    verify = PasswordHasher.verify

    async def note(self: PasswordHasher, password: SecretStr, stored: str | None) -> Verification:
        compared.append(stored)
        return await verify(self, password, stored)

    monkeypatch.setattr(PasswordHasher, "verify", note)
    known = (await post.service.person()).email
    for email in (known, "new@people.example"):
        compared.clear()
        await asyncio.gather(*(post.register(email, f"{PASSWORD} {number}") for number in range(6)))
        assert len(compared) == 6, email


@pytest.mark.asvs("6.3.1", "16.3.1")
async def test_the_registered_password_is_not_guessed_with_its_token(start: StartService, mailbox: Mailbox) -> None:
    """Wrong ones are on record and limited, the right one among them then; the token alone still works."""
    async with start(rate_limit_signin="3/hour") as service:
        post = Post(service, mailbox)
        await post.register("ada@people.example")
        token = await post.token("ada@people.example")
        bodies = [*({"token": token, "password": f"a wrong password {n}"} for n in range(3))]
        answers = [await post("/accounts/verify", body) for body in (*bodies, {"token": token, "password": PASSWORD})]
        assert [answer.status_code for answer in answers] == [403, 403, 403, 429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 3600
        told = [(row["action"], row["outcome"]) for row in await stored(service)]
        assert told[-4:] == [*[("email_verified", "failure")] * 3, ("signin_limited", "denied")]
        assert await post.verify(token) == 204


@pytest.mark.asvs("6.3.8")
async def test_a_strangers_name_does_not_greet_the_owner_after_a_reset(post: Post) -> None:
    """Registered by a stranger and not confirmed; the owner of the mailbox begins with a reset."""
    await post.register("ada@people.example", display_name="Your bank")
    await post.forgot("ada@people.example")
    assert await post.reset(await post.mailed_token("ada@people.example", 2), "words that the owner chose") == 204
    assert "Your bank" not in await post.text("ada@people.example", 3)
    tokens = tokens_of(await post.service.try_sign_in("ada@people.example", "words that the owner chose"))
    assert (await post.service.whoami(tokens)).json()["display_name"] is None
