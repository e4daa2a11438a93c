"""The message: what a mail program reads is what was written, and the head is ours alone."""

from datetime import UTC, datetime
from email.header import decode_header, make_header
from uuid import uuid4

import pytest

from app.core.mail.outbox import Mail
from app.core.mail.transport import Sender, compose
from tests.support.records.mail import bodies, mail, read_mail

SENDER = Sender("Secure API", "no-reply@service.example")
ID, DATE = uuid4(), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HEAD = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]

HOSTILE = [
    "=?utf-8?q?a=0D=0ABcc:_eve@evil.example?=",
    "=?utf-8?b?YQ0KQmNjOiBldmVAZXZpbC5leGFtcGxl?=",
    "a =?utf-8?q?=0A?= =?utf-8?q?=0A?= b",
    "=?us-ascii?q?=0D=0A=0D=0A<script>?=",
    f"{'x' * 70} =?utf-8?q?=0ABcc:_eve@evil.example?=",
    f'A, B <eve@evil.example> "quoted" {"word " * 20}end',
    "Grüße 🎉 " * 30 + "!",
    "{{7*7}} ${7*7}",
    "x" * 250,
]


def head_of(content: bytes) -> str:
    """The lines above the first empty one; every line ends as SMTP demands, and none is too long."""
    head, _, _ = content.partition(b"\r\n\r\n")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    return head.decode()


def names_in(content: bytes) -> list[str]:
    """The names of the headers as a server sees them: lines that do not go on with the one before."""
    return [line.partition(":")[0] for line in head_of(content).split("\r\n") if not line.startswith((" ", "\t"))]


@pytest.mark.asvs("1.3.11")
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_a_header(text: str) -> None:
    """As subject and as name of the sender: the head has our headers, and the text is read as it was written."""
    content = compose(mail(subject=text), Sender(text, SENDER.address), ID, DATE)
    message = read_mail(content)
    assert names_in(content) == HEAD
    raw = {name: str(value) for name, value in message.raw_items()}
    assert str(make_header(decode_header(raw["Subject"]))) == text
    name, _, address = raw["From"].rpartition(" ")
    assert str(make_header(decode_header(name))) == text
    assert address == f"<{SENDER.address}>"
    assert [each.addr_spec for each in message["From"].addresses] == [SENDER.address]


def test_a_plain_head_reads_as_it_is() -> None:
    """Nothing is encoded that need not be, and a second copy has the same id."""
    content = compose(mail(subject="Welcome, Ada: it's ready!"), SENDER, ID, DATE)
    assert head_of(content).split("\r\n")[:6] == [
        "From: Secure API <no-reply@service.example>",
        "To: ada@people.example",
        "Subject: Welcome, Ada: it's ready!",
        "Date: Fri, 02 Jan 2026 03:04:05 +0000",
        f"Message-ID: <{ID}@service.example>",
        "Auto-Submitted: auto-generated",
    ]


def test_text_and_html_arrive_as_they_were_written() -> None:
    """In any script, with long lines, and with lines that SMTP takes for its own."""
    text = "Grüße, 你好 🎉\n.\n..\nFrom here\nhttps://service.example/verify#token=" + "x" * 2000 + "\n"
    html = f"<p>{text}</p>\n"
    content = compose(Mail(to="ada@people.example", subject="Welcome", text=text, html=html), SENDER, ID, DATE)
    assert content.isascii()
    assert bodies(read_mail(content)) == (text, html)
    assert names_in(content) == HEAD


def test_addresses_are_ascii_where_they_can_be() -> None:
    """The domain as IDNA; only a local part in another script is left as it is."""
    assert "To: ada@xn--bcher-kva.example\r\n" in compose(mail("ada@Bücher.example"), SENDER, ID, DATE).decode()
    assert "To: jürgen@xn--bcher-kva.example\r\n" in compose(mail("jürgen@bücher.example"), SENDER, ID, DATE).decode()
