"""Mail transports: to an SMTP server over verified TLS, or, without `SMTP_URL`, into files (not in production).

The class of an error says what happens to the mail. It never holds the server's words, because they repeat addresses.
"""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib as smtp
import structlog
from pydantic import SecretStr

from app.core.mail.outbox import Mail, OutboxMail, recipient
from app.core.private_files import make_private_folder
from app.core.settings.model import Settings

MAIL_FOLDER = Path("var/mail")

_CONNECT_SECONDS = 60
_PERMANENT = 500
_TOO_LARGE = 552
# RFC 4954 §6: about the sign-in, even if they answer a recipient.
_ABOUT_SIGNIN = frozenset({530, 534, 535, 538})
# Texts without encoding and folding: in a name letters, digits and spaces, in a subject all but an encoded word.
_PLAIN = {
    "From": re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 -]{0,58}[A-Za-z0-9])?"),
    "Subject": re.compile(r"(?!.*=\?)[!-~](?:[ -~]{0,58}[!-~])?"),
}
_log = structlog.get_logger(__name__)


class Sender(NamedTuple):
    """The sender: a name as people see it, and the address that answers and bounces go to."""

    name: str
    address: str


def compose(mail: Mail, sender: Sender, mail_id: UUID, date: datetime, cte: str = "quoted-printable") -> bytes:
    """Make the message, in ASCII unless the recipient is not (RFC 6531); a duplicate has the same `Message-ID`.

    The standard library writes the body alone: its headers decode encoded words (RFC 2047) in their text, and a Python
    without the fixes for CVE-2024-6923 and CVE-2025-1795 makes another header of what comes out (ASVS 1.3.11).
    """
    head = {
        "From": f"{_words('From', sender.name)} <{sender.address}>",
        "To": recipient(mail.to),
        "Subject": _words("Subject", mail.subject),
        "Date": format_datetime(date),
        "Message-ID": f"<{mail_id}@{sender.address.rpartition('@')[2]}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: no vacation answers to this
    }
    body = EmailMessage(policy=SMTP)
    body.set_content(mail.text, cte=cte)
    body.add_alternative(mail.html, subtype="html", cte=cte)
    return "".join(f"{name}: {value}\r\n" for name, value in head.items()).encode() + body.as_bytes()


def _words(header: str, text: str) -> str:
    """Return a plain text as it is, any other in encoded words (RFC 2047)."""
    if _PLAIN[header].fullmatch(text):
        return text
    return Header(text, "utf-8", header_name=header).encode(linesep="\r\n")


class DeliveryError(Exception):
    """A mail was not delivered: the name of the cause, and the code of the SMTP server if it gave one."""

    def __init__(self, cause: str, code: int | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.code = code


class RefusedError(DeliveryError):
    """The mail will never be delivered: do not try again."""


class PostponedError(DeliveryError):
    """The mail cannot be delivered now; the next one may be."""


class UnreachableError(DeliveryError):
    """No mail can be delivered now: wait before the next attempt with any."""


class SmtpTransport:
    """Delivers each mail over a connection of its own.

    `smtp://` demands STARTTLS, `smtps://` begins with TLS. The certificate is verified, against the authorities of the
    system and those in `SSL_CERT_FILE` (ASVS 12.3.2). `?tls=off` is in the clear.
    """

    def __init__(self, url: SecretStr, sender: Sender) -> None:
        parts = urlsplit(url.get_secret_value())
        clear = parts.query == "tls=off"
        self._sender = sender
        self._new_client = partial(
            smtp.SMTP,
            hostname=parts.hostname,
            port=parts.port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            local_hostname=sender.address.rpartition("@")[2],
            timeout=60,
            use_tls=parts.scheme == "smtps",
            start_tls=parts.scheme == "smtp" and not clear,
            tls_context=None if clear else ssl.create_default_context(),
        )

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[smtp.SMTP]:
        """Connect and sign in; raises `UnreachableError`."""
        client, problem = self._new_client(), None
        try:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await client.connect()
            except (smtp.SMTPException, OSError) as error:
                problem = UnreachableError(type(error).__name__, getattr(error, "code", None))
            if problem:
                # Not in a handler, here and below: the exceptions of the library hold the address.
                raise problem
            yield client
            with suppress(smtp.SMTPException, OSError):
                await client.quit(timeout=1)
        finally:
            client.close()

    async def deliver(self, claimed: OutboxMail, mail: Mail) -> None:
        """Hand the mail over to the server; raises `DeliveryError`."""
        message = compose(mail, self._sender, claimed.id, claimed.created_at)
        async with self.connected() as client:
            problem = await self._send(client, recipient(mail.to), message)
        if problem:
            raise problem

    async def _send(self, client: smtp.SMTP, to: str, message: bytes) -> DeliveryError | None:
        options = [] if to.isascii() else ["SMTPUTF8"]
        try:
            await client.sendmail(self._sender.address, [to], message, mail_options=options)
        except (smtp.SMTPRecipientsRefused, smtp.SMTPDataError, smtp.SMTPNotSupported) as error:
            return _about_mail(error)
        except smtp.SMTPSenderRefused as error:
            kind = PostponedError if options or error.code == _TOO_LARGE else UnreachableError
            return kind(type(error).__name__, error.code)
        except (smtp.SMTPException, OSError) as error:
            # It hung up or does not answer, perhaps because of this mail alone.
            return PostponedError(type(error).__name__)
        return None


def _about_mail(error: smtp.SMTPException) -> DeliveryError:
    """Return what the server's answer to a mail means for it (RFC 5321 §4.2.1)."""
    if isinstance(error, smtp.SMTPRecipientsRefused):
        error = error.recipients[0]
    cause, code = type(error).__name__, error.code if isinstance(error, smtp.SMTPResponseException) else None
    if code in _ABOUT_SIGNIN:
        return UnreachableError(cause, code)
    # Without a code: the address needs SMTPUTF8, and the server does not have it.
    return RefusedError(cause, code) if code is None or code >= _PERMANENT else PostponedError(cause, code)


class FolderTransport:
    """Writes each mail into a file that only its owner can read, for development: mails hold tokens."""

    def __init__(self, folder: Path, sender: Sender) -> None:
        self._folder = folder
        self._sender = sender

    async def deliver(self, claimed: OutboxMail, mail: Mail) -> None:
        """Write the file, whole or not at all; raises `UnreachableError`."""
        message = compose(mail, self._sender, claimed.id, claimed.created_at, cte="8bit")  # no token over two lines
        path = self._folder / f"{claimed.created_at:%Y%m%dT%H%M%S.%f}-{claimed.id}.eml"
        try:
            await asyncio.to_thread(_write_private, path, message)
        except OSError as error:
            raise UnreachableError(type(error).__name__) from None
        _log.info("mail_written", mail_id=claimed.id, path=path)


def _write_private(path: Path, content: bytes) -> None:
    make_private_folder(path.parent)
    path.parent.chmod(0o700)
    unfinished = path.with_suffix(".tmp")
    unfinished.unlink(missing_ok=True)
    with open(unfinished, "xb", opener=partial(os.open, mode=0o600)) as file:  # Path.open takes no opener
        file.write(content)
    unfinished.replace(path)


MailTransport = SmtpTransport | FolderTransport


def mail_transport(settings: Settings) -> MailTransport:
    """Make the transport that the settings ask for."""
    sender = Sender(settings.app_name, settings.mail_from)
    if settings.smtp_url is None:
        return FolderTransport(MAIL_FOLDER, sender)
    return SmtpTransport(settings.smtp_url, sender)
