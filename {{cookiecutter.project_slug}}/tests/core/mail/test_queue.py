"""Claims: one process at a time has a mail, and none is left behind."""

import asyncio
from datetime import timedelta

import pytest
import time_machine

from app.core.clock import utc_now
from app.core.mail.outbox import MailQueue, MailStanding
from tests.conftest import MakeSettings
from tests.support.records.mail import mail, post_office

pytestmark = pytest.mark.anyio


async def test_a_mail_is_claimed_once(make_settings: MakeSettings) -> None:
    """Twenty claims at once over two connections: each of five mails is had by one of them, the oldest first."""
    async with post_office(make_settings()) as first, post_office(make_settings()) as second:
        await first.add(*(mail() for _ in range(5)))
        queues = [MailQueue(office.database, lease_seconds=60) for office in (first, second)]
        claimed = await asyncio.gather(*(queue.claim() for queue in queues * 10))
        ids = [each.id for each in claimed if each]
        assert sorted(ids) == sorted(row.id for row in await first.rows())
        assert await queues[0].claim() is None


async def test_a_claim_ends_by_itself(make_settings: MakeSettings) -> None:
    """Whoever had it changes nothing any more: the mail is somebody else's now."""
    async with post_office(make_settings()) as office:
        await office.add(mail())
        queue = MailQueue(office.database, lease_seconds=60)
        lost = await queue.claim()
        assert lost is not None
        with time_machine.travel(utc_now() + timedelta(seconds=59)):
            assert await queue.claim() is None
        with time_machine.travel(utc_now() + timedelta(seconds=61)):
            taken = await queue.claim()
        assert taken is not None
        assert (taken.id, taken.attempts) == (lost.id, 2)
        await queue.finish(lost, "Late", None)
        await queue.finish(lost)
        assert (await office.row()).status == "queued"
        await queue.finish(taken)
        assert (await office.row()).status == "sent"


async def test_tells_where_the_mail_stands(make_settings: MakeSettings) -> None:
    """How many wait, and since when; what was given up; what was delivered is no concern any more."""
    async with post_office(make_settings()) as office:
        queue = MailQueue(office.database, lease_seconds=60)
        assert await queue.standing() == MailStanding(waiting=0, oldest=None, failed=0)
        await office.add(*(mail() for _ in range(4)))
        oldest = min(row.created_at for row in await office.rows())
        assert await queue.standing() == MailStanding(waiting=4, oldest=oldest, failed=0)
        sent, failed = await queue.claim(), await queue.claim()
        assert sent is not None
        assert failed is not None
        await queue.finish(sent)
        await queue.finish(failed, "Refused", 550)
        standing = await queue.standing()
        assert (standing.waiting, standing.failed) == (2, 1)


@pytest.mark.asvs("14.2.7")
async def test_what_is_done_with_is_emptied(make_settings: MakeSettings) -> None:
    """Delivered or given up: what is left says nothing about anybody."""
    async with post_office(make_settings()) as office:
        queue = MailQueue(office.database, lease_seconds=60)
        await office.add(mail(), mail())
        sent, failed = await queue.claim(), await queue.claim()
        assert sent
        assert failed
        await queue.finish(sent)
        await queue.finish(failed, "SMTPRecipientRefused", 550)
        rows = {row.status: row for row in await office.rows()}
        for row in rows.values():
            assert (row.sealed, row.claim, row.attempts) == (None, None, 1)
            assert row.finished_at is not None
        assert (rows["failed"].error, rows["failed"].smtp_code) == ("SMTPRecipientRefused", 550)


async def test_a_mail_that_is_postponed_or_released_is_due_again(make_settings: MakeSettings) -> None:
    """After its time, or at once."""
    async with post_office(make_settings()) as office:
        queue = MailQueue(office.database, lease_seconds=60)
        await office.add(mail())
        claimed = await queue.claim()
        assert claimed
        await queue.postponed(claimed, "SMTPDataError", 451, seconds=30, counts=True)
        assert await queue.claim() is None
        with time_machine.travel(utc_now() + timedelta(seconds=31)):
            claimed = await queue.claim()
            assert claimed
            await queue.released(claimed)
            assert await queue.claim() is not None
