"""A mail as a message: text and HTML (RFC 2046), below a head that is written here.

The standard library writes the body alone: its headers decode encoded words (RFC 2047) in their text, and a Python
without the fixes for CVE-2024-6923 and CVE-2025-1795 makes another header of what comes out (ASVS 1.3.11).
"""

import re
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import NamedTuple
from uuid import UUID

from app.core.mail.outbox import Mail, recipient

# Texts without encoding and folding: in a name letters, digits and spaces, in a subject all but an encoded word.
_PLAIN = {
    "From": re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 -]{0,58}[A-Za-z0-9])?"),
    "Subject": re.compile(r"(?!.*=\?)[!-~](?:[ -~]{0,58}[!-~])?"),
}


class Sender(NamedTuple):
    """The sender: a name as people see it, and the address that answers and bounces go to."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


def compose(mail: Mail, sender: Sender, mail_id: UUID, date: datetime) -> bytes:
    """Make the message, in ASCII unless the recipient is not (RFC 6531); a duplicate has the same `Message-ID`."""
    head = {
        "From": f"{_words('From', sender.name)} <{sender.address}>",
        "To": recipient(mail.to),
        "Subject": _words("Subject", mail.subject),
        "Date": format_datetime(date),
        "Message-ID": f"<{mail_id}@{sender.domain}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: no vacation answers to this
    }
    body = EmailMessage(policy=SMTP)
    body.set_content(mail.text, cte="quoted-printable")
    body.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return "".join(f"{name}: {value}\r\n" for name, value in head.items()).encode() + body.as_bytes()


def _words(header: str, text: str) -> str:
    """Return a plain text as it is, any other in encoded words (RFC 2047)."""
    if _PLAIN[header].fullmatch(text):
        return text
    return Header(text, "utf-8", header_name=header).encode(linesep="\r\n")
