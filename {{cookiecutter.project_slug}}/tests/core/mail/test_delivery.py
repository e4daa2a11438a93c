"""The delivery: nothing is lost, nothing is sent twice while nobody dies, and nothing personal is logged."""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.mail.delivery import Pace
from app.core.mail.outbox import Outbox
from app.core.settings.model import Settings
from tests.conftest import MakeSettings, StartService
from tests.support.processes.server import ServerProcess, free_port
from tests.support.records.logs import captured_log
from tests.support.records.mail import Mailbox, MailServer, bodies, mail, post_office, running_smtp, until

pytestmark = pytest.mark.anyio

SECRET_KEY = secrets.token_urlsafe(32)
QUICK_PROCESS = """
from app.core.mail import delivery
pace = delivery.Pace(poll=0.05, deadline=20, lease={lease}, first_retry=0.05, longest_retry=0.2, longest_pause=0.1)
delivery.Pace = lambda: pace
"""

# Whoever waits for one of them waits too long for these tests.
LONG_PAUSES = {"first_retry": 60, "longest_retry": 60, "longest_pause": 60}

SmtpSettings = Callable[[MailServer], Settings]


@pytest.fixture
def settings_for(make_settings: MakeSettings) -> SmtpSettings:
    """Settings that send to that server, in the clear."""
    return lambda server: make_settings(smtp_url=server.url(query="?tls=off"), secret_key=SECRET_KEY)


async def test_the_service_delivers_what_it_commits(start: StartService, mailbox: Mailbox) -> None:
    """At once, and without being asked; the path of the file is logged, and it is read as a mail."""
    async with start() as service:
        with captured_log(service[Settings]) as log:
            async with service[Database].transaction() as db:
                await service[Outbox].add(db, mail())
            before = time.monotonic()
            (message,) = await mailbox.wait("ada@people.example")
            assert time.monotonic() - before < Pace().poll / 2
            assert bodies(message) == (mail().text, mail().html)
            await until(lambda: "mail_sent" in log.text)
    written, sent = log.lines
    assert (written["event"], written["path"]) == ("mail_written", str(next(mailbox.folder.iterdir())))
    assert (sent["event"], sent["attempts"], sent["mail_id"]) == ("mail_sent", 1, written["mail_id"])


async def test_a_server_that_is_down_gets_its_mail_when_it_is_back(settings_for: SmtpSettings) -> None:
    """However long that is: it says nothing about the mail. New mail does not make anybody knock more often."""
    server = MailServer(port=free_port())
    settings = settings_for(server)
    pace = {"longest_retry": 1800, "most_attempts": 3}
    async with post_office(settings, **pace) as office, office.delivery.running():
        with captured_log(settings) as log:
            await office.add(mail())
            await until(lambda: log.text.count("mail_postponed") > 5)
        assert (await office.row()).error == "SMTPConnectError"
        async with running_smtp(server):
            row = await office.wait_for("sent")
            await office.add(*(mail(f"{number}@people.example") for number in range(5)))
            await until(lambda: len(server.accepted) == 6)
    assert (row.sealed, row.error, row.smtp_code) == (None, None, None)
    assert len(set(server.recipients)) == 6


async def test_a_server_that_is_down_for_a_day_fails_its_mail(settings_for: SmtpSettings) -> None:
    """What is in a mail is over by then."""
    async with post_office(settings_for(MailServer(port=free_port())), longest_outage=0.2) as office:
        await office.add(mail())
        async with office.delivery.running():
            assert (await office.wait_for("failed")).error == "SMTPConnectError"


def test_mail_goes_out_within_ten_seconds_of_the_return_of_its_server() -> None:
    """The longest wait while a server cannot be reached, with what the delivery waits anyway."""
    pace = Pace()
    waits = [pace.backoff(failures, pace.longest_pause) for failures in range(1, 1000)]
    assert max(waits) + pace.settle < 9


async def test_a_temporary_refusal_is_tried_again_and_does_not_hold_up_the_others(settings_for: SmtpSettings) -> None:
    """Greylisting: later is soon enough."""
    server = MailServer()
    server.answer = lambda address: "451 later" if address.startswith("slow") and server.attempts < 3 else None
    async with running_smtp(server), post_office(settings_for(server)) as office:
        await office.add(mail("slow@people.example"), mail("ada@people.example"))
        async with office.delivery.running():
            await until(lambda: len(server.accepted) == 2)
    assert server.recipients == ["ada@people.example", "slow@people.example"]


@pytest.mark.parametrize(
    ("answer", "error"), [(None, "SMTPServerDisconnected"), ("421 4.7.0 bye", "SMTPRecipientRefused")]
)
async def test_a_recipient_at_whom_the_server_hangs_up_delays_that_mail_alone(
    settings_for: SmtpSettings, answer: str | None, error: str
) -> None:
    """With or without a word: every other mail is delivered at once, those that are added later too."""

    def is_bad(address: str) -> bool:
        return address.startswith("bad")

    server = MailServer(hang_up=lambda address: is_bad(address) and not answer)
    server.answer = lambda address: answer if is_bad(address) else None
    async with running_smtp(server), post_office(settings_for(server), **LONG_PAUSES) as office:
        await office.add(*(mail(f"bad{number}@people.example") for number in range(6)))
        await office.add(mail("ada@people.example"))
        async with office.delivery.running():
            await until(lambda: server.recipients == ["ada@people.example"])
            await office.add(mail("bob@people.example"))
            await until(lambda: server.recipients == ["ada@people.example", "bob@people.example"])
        waiting = [row for row in await office.rows() if row.status == "queued"]
    assert [(row.attempts, row.error, row.claim) for row in waiting] == [(1, error, None)] * 6
    assert server.attempts == 8
    assert all(row.due_at > utc_now() for row in waiting)


@pytest.mark.parametrize("answer", ["550 5.1.1 no such user", None])
async def test_a_permanent_refusal_ends_at_once(settings_for: SmtpSettings, answer: str | None) -> None:
    """By the server, or because the server cannot take such an address: one attempt, an error in the log, and a row."""
    server = MailServer(answer=lambda _: answer)
    async with running_smtp(server, utf8=False):
        settings = settings_for(server)
        async with post_office(settings) as office, office.delivery.running():
            with captured_log(settings) as log:
                await office.add(mail("canary@people.example" if answer else "cañary@people.example"))
                row = await office.wait_for("failed")
                await until(lambda: "mail_failed" in log.text)
    assert (row.attempts, row.sealed, row.smtp_code) == (1, None, 550 if answer else None)
    assert row.error == ("SMTPRecipientRefused" if answer else "SMTPNotSupported")
    line = log.line
    assert (line["event"], line["level"], line["mail_id"]) == ("mail_failed", "error", str(row.id))
    assert server.accepted == []


@pytest.mark.asvs("14.2.7", "16.2.5")
async def test_what_is_not_taken_in_time_has_failed_visibly(settings_for: SmtpSettings) -> None:
    """After the last attempt; neither the log nor the row says to whom or what."""
    server = MailServer()
    server.answer = lambda address: f"450 4.2.1 {address} is busy"
    async with running_smtp(server):
        settings = settings_for(server)
        async with post_office(settings, most_attempts=3) as office, office.delivery.running():
            with captured_log(settings) as log:
                await office.add(mail("canary@people.example", "canary", "canary"))
                row = await office.wait_for("failed")
                await until(lambda: "mail_failed" in log.text)
    assert (row.attempts, row.error, row.smtp_code, row.sealed) == (3, "SMTPRecipientRefused", 450, None)
    assert [line["event"] for line in log.lines] == ["mail_postponed", "mail_postponed", "mail_failed"]
    assert [line["smtp_code"] for line in log.lines] == [450, 450, 450]
    assert "canary" not in log.text
    assert "people.example" not in log.text


async def test_a_mail_that_does_not_open_waits_for_its_key(make_settings: MakeSettings, mailbox: Mailbox) -> None:
    """A fallback that was removed too early can be put back."""
    async with post_office(make_settings(secret_key=SECRET_KEY)) as office:
        await office.add(mail())
    async with post_office(make_settings()) as office, office.delivery.running():
        async with asyncio.timeout(10):
            while (await office.row()).error != "SealBrokenError":  # noqa: ASYNC110  # another task sets it
                await asyncio.sleep(0.01)
    async with post_office(make_settings(secret_key_fallbacks=SECRET_KEY)) as office, office.delivery.running():
        await office.wait_for("sent")
    assert len(mailbox.messages("ada@people.example")) == 1


async def test_a_mail_that_ends_each_process_is_given_up(make_settings: MakeSettings, mailbox: Mailbox) -> None:
    """One that was claimed again and again, with nobody left to say what came of it."""
    async with post_office(make_settings(), most_attempts=3) as office:
        await office.add(mail())
        async with office.database.transaction() as db:
            await db.execute(text("UPDATE outbox SET attempts = 3"))
        async with office.delivery.running():
            row = await office.wait_for("failed")
    assert row.error == "Abandoned"
    assert mailbox.messages("ada@people.example") == []


async def test_a_server_that_never_answers_is_left(settings_for: SmtpSettings) -> None:
    """A delivery ends with its deadline; then it is tried again."""
    server = MailServer(stall=asyncio.Event())
    async with (
        running_smtp(server),
        post_office(settings_for(server), deadline=0.2) as office,
        office.delivery.running(),
    ):
        await office.add(mail())
        await until(lambda: server.attempts == 2)
        assert (await office.row()).error == "TimeoutError"
        server.stall = None
        await office.wait_for("sent")
    assert server.recipients == ["ada@people.example"]


async def test_recipients_at_whom_the_server_is_silent_delay_those_mails_alone(settings_for: SmtpSettings) -> None:
    """The others go out meanwhile, over a connection of their own; stopping is as prompt as ever, and loses none."""
    server = MailServer(silent=lambda address: address.startswith("bad"))
    async with running_smtp(server), post_office(settings_for(server), patience=0.1, **LONG_PAUSES) as office:
        await office.add(*(mail(f"bad{number}@people.example") for number in range(6)))
        await office.add(mail("ada@people.example"))
        async with office.delivery.running():
            await until(lambda: server.recipients == ["ada@people.example"])
            await office.add(mail("bob@people.example"))
            await until(lambda: server.recipients == ["ada@people.example", "bob@people.example"])
            assert server.attempts == 8
            before = time.monotonic()
        assert time.monotonic() - before < 2
        waiting = [row for row in await office.rows() if row.status == "queued"]
    assert [(row.attempts, row.claim, row.due_at <= utc_now()) for row in waiting] == [(1, None, True)] * 6


async def test_mails_that_take_long_are_few_at_a_time(settings_for: SmtpSettings) -> None:
    """A server that is slow with every mail gets them all, and no more connections than `most_at_once`."""
    server = MailServer(delay=0.2)
    async with (
        running_smtp(server),
        post_office(settings_for(server), patience=0, most_at_once=3) as office,
        office.delivery.running(),
    ):
        await office.add(*(mail(f"{number}@people.example") for number in range(9)))
        await until(lambda: len(server.accepted) == 9)
    assert server.most_at_once == 3


async def test_stopping_is_prompt_and_loses_nothing(settings_for: SmtpSettings) -> None:
    """A mail that is under way is let go of within two seconds, and the next process delivers it at once."""
    server = MailServer(stall=asyncio.Event())
    async with running_smtp(server):
        async with post_office(settings_for(server)) as office:
            async with office.delivery.running():
                await office.add(mail())
                await until(lambda: server.attempts)
                before = time.monotonic()
            assert time.monotonic() - before < 2
            row = await office.row()
            assert (row.status, row.claim) == ("queued", None)
            assert server.accepted == []
        server.stall = None
        async with post_office(settings_for(server)) as office, office.delivery.running():
            await office.wait_for("sent")
    assert server.recipients == ["ada@people.example"]


async def test_stopping_lets_the_mail_arrive_that_is_under_way(settings_for: SmtpSettings) -> None:
    """It is not sent a second time by the next process."""
    server = MailServer(stall=asyncio.Event())
    async with running_smtp(server), post_office(settings_for(server)) as office:
        async with office.delivery.running():
            await office.add(mail())
            await until(lambda: server.attempts)
            assert server.stall is not None
            asyncio.get_running_loop().call_later(0.2, server.stall.set)
        assert (await office.row()).status == "sent"
    assert server.recipients == ["ada@people.example"]


async def test_a_database_that_is_away_ends_nothing(make_settings: MakeSettings, mailbox: Mailbox) -> None:
    """The delivery goes on when it is back."""
    async with post_office(make_settings()) as office:
        async with office.database.transaction() as db:
            await db.execute(text("ALTER TABLE outbox RENAME TO elsewhere"))
        with captured_log(make_settings()) as log:
            async with office.delivery.running():
                await until(lambda: log.text.count("mail_outbox_unavailable") >= 2)
                async with office.database.transaction() as db:
                    await db.execute(text("ALTER TABLE elsewhere RENAME TO outbox"))
                await office.add(mail())
                await office.wait_for("sent")
    assert "SELECT" not in log.text
    assert len(mailbox.messages("ada@people.example")) == 1


def process(folder: Path, settings: Settings, lease: float) -> ServerProcess:
    """`manage serve` over the database of the test, with a quick pace."""
    assert settings.smtp_url
    return ServerProcess(
        folder,
        prelude=QUICK_PROCESS.format(lease=lease),
        DATABASE_URL=settings.database_url.get_secret_value(),
        SECRET_KEY=SECRET_KEY,
        SMTP_URL=settings.smtp_url.get_secret_value(),
    )


async def test_a_process_that_is_killed_loses_nothing(settings_for: SmtpSettings, tmp_path: Path) -> None:
    """Killed between claim and delivery: another process delivers the mail when the lease of the dead one has ended."""
    server = MailServer(stall=asyncio.Event())
    async with running_smtp(server):
        settings = settings_for(server)
        async with post_office(settings) as office:
            await office.add(mail())
            first = process(tmp_path, settings, lease=2)
            await until(lambda: server.attempts)
            first.process.kill()
            first.process.wait()
            row = await office.row()
            assert row.status == "queued"
            assert row.claim is not None
            assert server.accepted == []
            server.stall = None
            second = process(tmp_path, settings, lease=2)
            try:
                assert (await office.wait_for("sent")).attempts == 2
            finally:
                assert await asyncio.to_thread(second.stop) == 0
    assert server.recipients == ["ada@people.example"]
    assert "people.example" not in second.output()


async def test_two_processes_deliver_each_mail_once(settings_for: SmtpSettings, tmp_path: Path) -> None:
    """They share the work, and each line of their logs is about another mail."""
    server = MailServer(delay=0.02)

    async def share(numbers: range) -> None:
        await office.add(*(mail(f"{number}@people.example") for number in numbers))
        await until(lambda: len(server.accepted) >= numbers.stop)

    async with running_smtp(server):
        settings = settings_for(server)
        folders = [tmp_path / "first", tmp_path / "second"]
        for folder in folders:
            folder.mkdir()
        async with post_office(settings) as office:
            both = [process(folder, settings, lease=60) for folder in folders]
            try:
                for each in both:
                    await asyncio.to_thread(each.__enter__)
                for begin in range(0, 400, 40):  # who got no time on a busy machine has more to do
                    await share(range(begin, begin + 40))
                    if all('"mail_sent"' in each.output() for each in both):
                        break
            finally:
                codes = [await asyncio.to_thread(each.stop) for each in both]
            assert {row.status for row in await office.rows()} == {"sent"}
    assert codes == [0, 0]
    assert len(set(server.recipients)) == len(server.recipients) == len(server.accepted)
    assert sum(each.output().count('"mail_sent"') for each in both) == len(server.accepted)
