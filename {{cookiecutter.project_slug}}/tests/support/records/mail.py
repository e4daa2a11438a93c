"""Mail as a test sees it: files that were written, and an SMTP server on loopback that keeps what it is given."""

import asyncio
import logging
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from sqlalchemy import select

from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.core.mail.delivery import MailDelivery, Pace
from app.core.mail.outbox import Mail, Outbox, OutboxMail
from app.core.mail.transport import mail_transport
from app.core.settings.model import Settings

# The server's own log, which the service does not have.
logging.getLogger("mail.log").disabled = True

_PATIENCE = 30
USER, PASSWORD = "mailer@service.example", "6h3J:fK/q9 @zz"


def read_mail(content: bytes) -> EmailMessage:
    """The message as a mail program reads it."""
    return message_from_bytes(content, policy=SMTPUTF8)


def bodies(message: EmailMessage) -> tuple[str, str]:
    """The text and the HTML."""
    plain, html = message.iter_parts()
    assert (plain.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    text, markup = (str(part.get_content()).replace("\r\n", "\n") for part in (plain, html))
    return text, markup


async def until(fulfilled: Callable[[], Any]) -> Any:
    """Wait until something is so, and give it."""
    async with asyncio.timeout(_PATIENCE):
        while not (value := fulfilled()):  # noqa: ASYNC110  # it may be a file or another process
            await asyncio.sleep(0.01)
    return value


class Mailbox:
    """The folder that mail is written to where no `SMTP_URL` is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def messages(self, to: str) -> list[EmailMessage]:
        """Every mail to that address, the oldest first."""
        mails = [read_mail(path.read_bytes()) for path in sorted(self.folder.glob("*.eml"))]
        return [mail for mail in mails if mail["To"] == to]

    async def wait(self, to: str, count: int = 1) -> list[EmailMessage]:
        """Wait until that many mails to the address were delivered."""
        return list(await until(lambda: len(found := self.messages(to)) >= count and found))


@dataclass
class MailServer:
    """A server of the test's own. `answer` decides what it says to a recipient, `after_data` to a message.

    At whom `hang_up` says so, it closes the connection without a word; at whom `silent` does, it never answers. It
    takes messages of up to `size` bytes, and counts the `most_at_once` that it was given.
    """

    port: int = 0
    accepted: list[Envelope] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    attempts: int = 0
    answer: Callable[[str], str | None] = lambda _: None
    after_data: Callable[[], str | None] = lambda: None
    hang_up: Callable[[str], bool] = lambda _: False
    silent: Callable[[str], bool] = lambda _: False
    size: int = 1024 * 1024
    stall: asyncio.Event | None = None
    delay: float = 0
    at_once: int = 0
    most_at_once: int = 0

    @property
    def recipients(self) -> list[str]:
        """Whom each message that was accepted is for."""
        return [recipient for envelope in self.accepted for recipient in envelope.rcpt_tos]

    @property
    def messages(self) -> list[EmailMessage]:
        """The messages that were accepted."""
        return [read_mail(self.content(number)) for number in range(len(self.accepted))]

    def content(self, number: int = 0) -> bytes:
        """The bytes of a message that was accepted."""
        content = self.accepted[number].original_content
        assert content is not None
        return content

    def url(self, scheme: str = "smtp", host: str = "localhost", *, user: bool = False, query: str = "") -> str:
        """What `SMTP_URL` is set to."""
        credentials = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@" if user else ""
        return f"{scheme}://{credentials}{host}:{self.port}{query}"

    # What aiosmtpd calls.

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the recipient, or say what the test wants."""
        self.attempts += 1
        if self.hang_up(address):
            _close(server)
        if self.silent(address):
            await asyncio.Event().wait()
        refusal = self.answer(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the message, or stall, or say what the test wants."""
        if self.stall is not None:
            await self.stall.wait()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.delay)
        self.at_once -= 1
        refusal = self.after_data()
        if refusal is None:
            self.accepted.append(envelope)
            self.sessions.append(session)
        return refusal or "250 OK"


def _close(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


@asynccontextmanager
async def running_smtp(
    server: MailServer,
    tls: ssl.SSLContext | None = None,
    *,
    implicit: bool = False,
    login: bool = False,
    utf8: bool = True,
) -> AsyncIterator[MailServer]:
    """Start the server, on the port it had before where it had one; with TLS where a certificate is given."""

    def authenticate(smtp: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=data == right, handled=False)

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a sign-in without TLS: it does not know of the TLS below it
            return SMTP(
                server,
                hostname="smtp.service.example",
                data_size_limit=server.size,
                enable_SMTPUTF8=utf8,
                tls_context=None if implicit else tls,
                authenticator=authenticate if login else None,
                auth_required=login,
                auth_require_tls=not implicit,
            )

    loop = asyncio.get_running_loop()
    listener = await loop.create_server(protocol, "127.0.0.1", server.port, ssl=tls if implicit else None)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


class PostOffice:
    """An outbox and what delivers from it, as in the service but at a pace of the test's own."""

    def __init__(self, settings: Settings, pace: Pace) -> None:
        self.database = Database(settings.database_url)
        self.outbox = Outbox(KeyRing(settings.secret_key, settings.secret_key_fallbacks))
        self.delivery = MailDelivery(self.database, self.outbox, partial(mail_transport, settings), pace)

    async def add(self, *mails: Mail) -> None:
        """Add mails in one transaction."""
        async with self.database.transaction() as db:
            for each in mails:
                await self.outbox.add(db, each)

    async def rows(self) -> list[OutboxMail]:
        """What is in the table, the oldest first."""
        async with self.database.read() as db:
            return list(await db.scalars(select(OutboxMail).order_by(OutboxMail.created_at)))

    async def row(self) -> OutboxMail:
        """The only row."""
        (row,) = await self.rows()
        return row

    async def wait_for(self, status: str) -> OutboxMail:
        """Wait until the only mail stands there."""
        async with asyncio.timeout(_PATIENCE):
            while (row := await self.row()).status != status:  # noqa: ASYNC110  # another process may set it
                await asyncio.sleep(0.01)
        return row


@asynccontextmanager
async def post_office(settings: Settings, **pace: float) -> AsyncIterator[PostOffice]:
    """Open one that delivers nothing until its `delivery` is running."""
    quick = {"poll": 0.05, "first_retry": 0.05, "longest_retry": 0.2, "longest_pause": 0.1}
    office = PostOffice(settings, Pace(**{**quick, **pace}))  # type: ignore[arg-type]  # most are float
    try:
        yield office
    finally:
        await office.database.close()


def mail(to: str = "ada@people.example", subject: str = "Welcome", note: str = "canary-note") -> Mail:
    """A mail with something in it that nobody else is to see."""
    return Mail(to=to, subject=subject, text=f"Text: {note}\n", html=f"<p>HTML: {note}</p>\n")
