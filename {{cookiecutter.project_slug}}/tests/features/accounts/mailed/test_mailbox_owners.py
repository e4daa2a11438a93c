"""Whose mailbox it is: nobody's mail goes to a look-alike, and nobody keeps an address from its owner."""

import pytest

from app.features.accounts.mailed.limits import MAILS_PER_HOUR
from tests.conftest import StartService
from tests.support.account_mail import PASSWORD, TOKEN, Post
from tests.support.mail import Mailbox
from tests.support.service import Service

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
