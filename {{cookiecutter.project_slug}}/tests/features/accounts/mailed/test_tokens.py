"""The store of the tokens that are mailed."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import select, text

from app.core.database.database import Database
from app.core.logging.secret_shapes import MASK, redact_shapes
from app.features.accounts.mailed.tokens import TokenKind
from app.features.accounts.models import AccountToken
from tests.support.api.account_mail import Post
from tests.support.records.mail import Mailbox
from tests.support.service import Service

pytestmark = pytest.mark.anyio


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who read their mail."""
    return Post(service, mailbox)


@pytest.mark.asvs("11.4.1", "14.2.1", "14.2.4")
async def test_tokens_are_in_no_log_and_not_in_the_database(post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    """At rest there is the SHA-256; a token that is used, wrong, or put where none belongs is not logged either."""
    person = await post.service.person()
    await post.forgot(person.email)
    token = await post.token(person.email)
    async with post.service[Database].read() as db:
        assert await db.scalar(select(AccountToken.token_hash)) == hashlib.sha256(token.encode()).digest()
        for table in ("users", "account_tokens", "outbox"):
            rows = (await db.execute(text(f"SELECT * FROM {table}"))).all()  # noqa: S608  # our own names
            assert token.encode() not in repr(rows).encode()
    await post.service.client.get(f"/api/v1/accounts/verify?token={token}")
    await post.service.client.get(f"/reset/{token}")
    await post.verify(token)
    assert await post.reset(token) == 204
    await post.reset(token)
    output = capsys.readouterr()
    assert "password_reset" in output.out
    assert token not in output.out + output.err
    assert token[4:] not in output.out + output.err


@pytest.mark.parametrize("kind", TokenKind)
async def test_every_kind_has_a_shape_that_no_log_shows(kind: TokenKind) -> None:
    """In running text too."""
    token = f"{kind}_{'A1-_' * 10}Zz9"
    assert redact_shapes(f"it was {token} again") == f"it was {MASK} again"


@pytest.mark.asvs("11.5.1")
async def test_tokens_are_random(post: Post) -> None:
    """256 bits, each other than the one before."""
    person = await post.service.person()
    tokens = set()
    for number in range(1, 6):
        await post.forgot(person.email)
        tokens.add(await post.token(person.email, number))
    assert len(tokens) == 5
    assert {len(token) for token in tokens} == {len("pwr_") + 43}


async def test_purges_what_has_expired_in_batches(post: Post) -> None:
    """So many at once as are asked for; what is alive stays, and works."""
    long_ago = datetime.now(UTC) - timedelta(days=2)
    with time_machine.travel(long_ago):
        for _ in range(3):
            await post.forgot((await post.service.person()).email)
    person = await post.service.person()
    await post.forgot(person.email)
    token = await post.token(person.email)
    now = datetime.now(UTC)
    assert [await post.service.purge("mailed tokens", before=now, limit=2) for _ in range(3)] == [2, 1, 0]
    assert await post.reset(token) == 204
