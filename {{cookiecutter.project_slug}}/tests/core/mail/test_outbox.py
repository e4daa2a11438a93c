"""The outbox: what a mail can be, and what is kept of it, for how long, and under which key."""

import secrets
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app.assembly import CORE
from app.core.clock import utc_now
from app.core.crypto import SealBrokenError
from app.core.database.batches import purge_of
from app.core.mail.outbox import LONGEST_BODY, Mail, OutboxMail
from app.core.services import Services
from tests.conftest import MakeSettings
from tests.support.records.mail import mail, post_office

pytestmark = pytest.mark.anyio

CANARY = "canary"


@pytest.mark.asvs("1.3.11")
@pytest.mark.parametrize(
    "to",
    [
        "",
        "canary",
        "canary@people.example\r\nBcc: eve@evil.example",
        "canary@people.example\n",
        "canary@people.example, eve@evil.example",
        "canary@people.example eve@evil.example",
        "canary@people.example> SIZE=1",
        "<canary@people.example>",
        "Eve <canary@people.example>",
        '"canary\r\nBcc: eve@evil.example"@people.example',
        "canary\x00@people.example",
        "canary\u2028@people.example",
        "=?utf-8?q?canary=0D=0A?=@people.example ",
        f"canary@{'x' * 300}.example",
    ],
)
def test_a_recipient_is_exactly_one_address(to: str) -> None:
    """No second recipient, no line break, no parameter of a command; the error does not repeat it."""
    with pytest.raises(ValueError, match="recipient") as caught:
        mail(to=to)
    assert CANARY not in repr(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.asvs("1.3.11")
@pytest.mark.parametrize(
    "subject",
    [
        "",
        " ",
        "canary\r\nBcc: eve@evil.example",
        "canary\n x",
        "canary\r",
        "canary\x00",
        "canary\u2028x",
        "canary\x85x",
        "canary" * 100,
        "canary\ud800",
    ],
)
def test_a_subject_is_one_line(subject: str) -> None:
    """Nothing that could become another header."""
    with pytest.raises(ValueError, match="subject") as caught:
        mail(subject=subject)
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize(("text", "html"), [("", "x"), ("x", ""), ("x" * (LONGEST_BODY + 1), "x"), ("x", "\ud800")])
def test_a_body_is_text_of_bounded_length(text: str, html: str) -> None:
    """Both bodies are there, and neither is without bounds."""
    with pytest.raises(ValueError, match=r"body|surrogates"):
        Mail(to="ada@people.example", subject="Welcome", text=text, html=html)


@pytest.mark.asvs("14.2.4", "16.2.5")
def test_a_mail_shows_nothing_of_itself() -> None:
    """It may stand in a traceback."""
    assert "canary" not in repr(mail("canary@people.example", "canary"))


async def test_a_mail_shares_the_fate_of_its_cause(make_settings: MakeSettings) -> None:
    """A transaction that is rolled back leaves no mail, and wakes nobody."""
    async with post_office(make_settings()) as office:
        with pytest.raises(RuntimeError):  # noqa: PT012  # the transaction is what is raised through
            async with office.database.transaction() as db:
                await office.outbox.add(db, mail())
                await db.flush()
                raise RuntimeError
        assert await office.rows() == []
        assert not office.outbox.added.is_set()
        async with office.database.transaction() as db:
            await office.outbox.add(db, mail())
            assert not office.outbox.added.is_set()
        assert office.outbox.added.is_set()
        assert (await office.row()).status == "queued"


@pytest.mark.asvs("14.2.4")
async def test_nothing_of_a_mail_is_in_the_open(make_settings: MakeSettings, tmp_path: Path) -> None:
    """Neither address nor subject nor body can be read in the row or in any file of the database."""
    async with post_office(make_settings()) as office:
        await office.add(mail("canary@people.example", "canary", "canary"))
        row = await office.row()
        assert b"canary" not in (row.sealed or b"")
        assert office.outbox.open(row.id, row.sealed or b"") == mail("canary@people.example", "canary", "canary")
    for path in tmp_path.iterdir():
        assert b"canary" not in path.read_bytes()


@pytest.mark.asvs("11.3.3")
async def test_a_mail_opens_in_its_own_row_alone(make_settings: MakeSettings) -> None:
    """Whoever can write to the database cannot send one person's token to another."""
    async with post_office(make_settings()) as office:
        await office.add(mail(), mail("eve@evil.example"))
        first, second = await office.rows()
        with pytest.raises(SealBrokenError):
            office.outbox.open(first.id, second.sealed or b"")


async def test_purge_deletes_what_is_done_with_in_batches(make_settings: MakeSettings) -> None:
    """Old enough and not waiting: the rest stays."""
    async with post_office(make_settings()) as office:
        await office.add(*(mail() for _ in range(5)))
        old, waiting, *_ = rows = await office.rows()
        week = timedelta(days=7)
        async with office.database.transaction() as db:
            for row in rows:
                if row is not waiting:
                    status = "failed" if row is old else "sent"
                    await db.execute(
                        update(OutboxMail)
                        .where(OutboxMail.id == row.id)
                        .values(status=status, finished_at=utc_now() - week)
                    )
        job, deleted = CORE.purge[0], []
        purge, purge_later = (
            purge_of(office.database, job.table, job.over(Services(), before), 2)
            for before in (utc_now() - timedelta(days=1), utc_now() + week)
        )
        for _ in range(4):
            async with office.database.transaction() as db:
                deleted.append(await purge(db))
        assert deleted == [2, 2, 0, 0]
        assert (await office.row()).id == waiting.id
        async with office.database.transaction() as db:
            assert await purge_later(db) == 0


@pytest.mark.asvs("11.2.2")
async def test_reseal_moves_every_mail_to_the_current_key_in_batches(make_settings: MakeSettings) -> None:
    """Afterwards the old key is not needed; what no key opens stays, and does not keep the rest from being moved."""
    old, new, gone = (secrets.token_urlsafe(64) for _ in range(3))
    async with post_office(make_settings(secret_key=gone)) as office:
        await office.add(mail("lost@people.example"), mail("lost@people.example"))
    async with post_office(make_settings(secret_key=old)) as office:
        await office.add(*(mail() for _ in range(5)))
    async with post_office(make_settings(secret_key=new, secret_key_fallbacks=old)) as office:
        await office.add(mail())
        batches: list[int] = []
        while not batches or batches[-1]:
            async with office.database.transaction() as db:
                batches.append(await office.outbox.reseal(db, limit=2))
        assert sum(batches) == 5
        assert max(batches) <= 2
    async with post_office(make_settings(secret_key=new)) as office:
        readable = 0
        for row in await office.rows():
            try:
                readable += office.outbox.open(row.id, row.sealed or b"") == mail()
            except SealBrokenError:
                continue
        assert readable == 6
