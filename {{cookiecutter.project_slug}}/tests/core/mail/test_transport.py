"""How mail leaves: to a real SMTP server on loopback, and into files."""

import socket
import stat
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from app.core.clock import utc_now
from app.core.mail.outbox import Mail, OutboxMail
from app.core.mail.transport import (
    DeliveryError,
    FolderTransport,
    MailTransport,
    PostponedError,
    RefusedError,
    Sender,
    UnreachableError,
    mail_transport,
)
from tests.conftest import MakeSettings
from tests.support.records.mail import PASSWORD, MailServer, bodies, mail, read_mail, running_smtp
from tests.support.servers.certificates import Authority

pytestmark = pytest.mark.anyio

CLEAR = "?tls=off"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this process trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


@pytest.fixture
def server() -> MailServer:
    """A server that is not started yet."""
    return MailServer()


def transport_to(make_settings: MakeSettings, url: str) -> MailTransport:
    """The transport to that server."""
    return mail_transport(make_settings(smtp_url=url, app_name="Sécure API"))


async def deliver(transport: MailTransport, letter: Mail | None = None) -> None:
    """Deliver one mail."""
    await transport.deliver(OutboxMail(id=uuid4(), created_at=utc_now()), letter or mail())


@pytest.mark.asvs("12.3.1", "12.3.2")
@pytest.mark.parametrize("implicit", [False, True])
async def test_delivers_over_tls_after_a_sign_in(
    make_settings: MakeSettings, authority: Authority, server: MailServer, *, implicit: bool
) -> None:
    """With STARTTLS, and with TLS from the first byte; a password with every sign in it arrives as it is."""
    async with running_smtp(server, authority.server("localhost"), implicit=implicit, login=True):
        url = server.url("smtps" if implicit else "smtp", user=True)
        assert PASSWORD not in url
        transport = transport_to(make_settings, url)
        await deliver(transport)
        await deliver(transport, mail("bob@people.example"))
    assert server.recipients == ["ada@people.example", "bob@people.example"]
    assert all(session.authenticated for session in server.sessions)
    assert implicit or all(session.ssl for session in server.sessions)
    assert server.accepted[0].mail_from == "operator@service.example"
    assert bodies(server.messages[0]) == (mail().text, mail().html)


@pytest.mark.asvs("12.3.1", "12.3.2", "12.3.4")
@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("host", ["other.example", "localhost"])
async def test_a_certificate_that_does_not_hold_gets_nothing(
    make_settings: MakeSettings, authority: Authority, server: MailServer, *, implicit: bool, host: str
) -> None:
    """For another name, or by an authority that nobody trusts: neither a mail nor a password."""
    vouching = authority if host == "other.example" else Authority(authority.file.parent / "unknown")
    wrong = vouching.server(host)
    async with running_smtp(server, wrong, implicit=implicit, login=True):
        transport = transport_to(make_settings, server.url("smtps" if implicit else "smtp", user=True))
        with pytest.raises(UnreachableError) as caught:
            await deliver(transport)
    assert (server.attempts, server.accepted) == (0, [])
    assert "SSL" in caught.value.cause or caught.value.cause == "SMTPConnectError"


@pytest.mark.asvs("12.3.1")
async def test_a_server_without_starttls_gets_nothing(make_settings: MakeSettings, server: MailServer) -> None:
    """Whoever strips the offer from the server's greeting gets no mail in the clear."""
    async with running_smtp(server):
        transport = transport_to(make_settings, server.url())
        with pytest.raises(UnreachableError):
            await deliver(transport)
    assert (server.attempts, server.accepted) == (0, [])


async def test_a_wrong_password_is_no_fault_of_the_mail(
    make_settings: MakeSettings, authority: Authority, server: MailServer
) -> None:
    """It can be delivered once the setting is right."""
    url = "smtp://other:wrong@localhost:{}"
    async with running_smtp(server, authority.server("localhost"), login=True):
        transport = transport_to(make_settings, url.format(server.port))
        with pytest.raises(UnreachableError) as caught:
            await deliver(transport)
        transport = transport_to(make_settings, server.url())
        with pytest.raises(UnreachableError) as anonymous:
            await deliver(transport)
    assert (caught.value.cause, caught.value.code) == ("SMTPAuthenticationError", 535)
    assert anonymous.value.code == 530
    assert server.accepted == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("550 5.1.1 no such canary@people.example", RefusedError),
        ("450 4.2.0 greylisted", PostponedError),
        ("530 5.7.0 authentication required", UnreachableError),
    ],
)
async def test_what_a_server_says_about_a_recipient(
    make_settings: MakeSettings, server: MailServer, answer: str, kind: type[DeliveryError]
) -> None:
    """Never, later, or not about the recipient at all; the next mail goes out."""
    server.answer = lambda address: answer if address.startswith("canary") else None
    async with running_smtp(server):
        transport = transport_to(make_settings, server.url(query=CLEAR))
        with pytest.raises(DeliveryError) as caught:
            await deliver(transport, mail("canary@people.example"))
        await deliver(transport)
    assert type(caught.value) is kind
    assert caught.value.code == int(answer[:3])
    assert server.recipients == ["ada@people.example"]
    # The words of the server are not passed on, in no way.
    assert "canary" not in repr(caught.value)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


@pytest.mark.parametrize(("answer", "kind"), [("554 5.7.1 spam", RefusedError), ("451 4.3.0 later", PostponedError)])
async def test_what_a_server_says_about_a_message(
    make_settings: MakeSettings, server: MailServer, answer: str, kind: type[DeliveryError]
) -> None:
    """After it has read it."""
    server.after_data = lambda: answer
    async with running_smtp(server):
        transport = transport_to(make_settings, server.url(query=CLEAR))
        with pytest.raises(kind):
            await deliver(transport)


async def test_a_mail_that_is_too_large_is_no_reason_to_wait_with_others(
    make_settings: MakeSettings, server: MailServer
) -> None:
    """The server says so when it hears the sender (RFC 1870), but it is not about the sender."""
    server.size = 5_000
    async with running_smtp(server):
        transport = transport_to(make_settings, server.url(query=CLEAR))
        with pytest.raises(PostponedError) as caught:
            await deliver(transport, mail(note="x" * 5_000))
        await deliver(transport)
    assert (caught.value.cause, caught.value.code) == ("SMTPSenderRefused", 552)


async def test_a_server_that_does_not_greet_is_unreachable(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up on before the deadline of a mail, which is not at fault."""
    monkeypatch.setattr("app.core.mail.transport._CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"smtp://127.0.0.1:{silent.getsockname()[1]}{CLEAR}"
        transport = transport_to(make_settings, url)
        with pytest.raises(UnreachableError, match="TimeoutError"):
            await deliver(transport)


async def test_a_server_that_is_not_there_or_goes_away(make_settings: MakeSettings, server: MailServer) -> None:
    """Is found out, and connected to anew when it is back."""
    async with running_smtp(server):
        transport = mail_transport(make_settings(smtp_url=server.url(query=CLEAR)))
        await deliver(transport)
    with pytest.raises(UnreachableError) as caught:
        await deliver(transport)
    assert caught.value.cause == "SMTPConnectError"
    async with running_smtp(server):
        await deliver(transport)
    assert len(server.accepted) == 2


async def test_addresses_of_every_script(make_settings: MakeSettings, server: MailServer) -> None:
    """A domain goes out as IDNA to any server; a local part needs one with SMTPUTF8, and is refused by others."""
    letter = mail("jürgen@bücher.example", "Grüße 🎉", "你好")
    async with running_smtp(server):
        transport = transport_to(make_settings, server.url(query=CLEAR))
        await deliver(transport, letter)
        await deliver(transport, mail("ada@bücher.example"))
    assert server.recipients == ["jürgen@xn--bcher-kva.example", "ada@xn--bcher-kva.example"]
    assert server.messages[0]["To"] == "jürgen@xn--bcher-kva.example"
    assert server.messages[0]["Subject"] == "Grüße 🎉"
    assert server.messages[0]["From"] == "Sécure API <operator@service.example>"
    assert bodies(server.messages[0]) == (letter.text, letter.html)
    old = MailServer()
    async with running_smtp(old, utf8=False):
        transport = transport_to(make_settings, old.url(query=CLEAR))
        with pytest.raises(RefusedError) as caught:
            await deliver(transport, letter)
        await deliver(transport, mail("ada@bücher.example"))
    assert (caught.value.cause, caught.value.code) == ("SMTPNotSupported", None)
    assert old.recipients == ["ada@xn--bcher-kva.example"]


@pytest.mark.asvs("1.3.11")
async def test_the_server_sees_one_recipient_and_our_headers_alone(
    make_settings: MakeSettings, server: MailServer
) -> None:
    """Whatever a subject or a body holds, it is no header, no recipient and no command."""
    subject = "=?utf-8?q?=0D=0ABcc:_eve@evil.example=0D=0A=0D=0Aforged?="
    body = "\r\n.\r\nMAIL FROM:<eve@evil.example>\r\nRCPT TO:<eve@evil.example>\r\nDATA\r\nBcc: eve@evil.example\n"
    letter = Mail(to="ada@people.example", subject=subject, text=body, html=body)
    async with running_smtp(server):
        transport = transport_to(make_settings, server.url(query=CLEAR))
        await deliver(transport, letter)
    assert server.recipients == ["ada@people.example"]
    head, _, _ = server.content().partition(b"\r\n\r\n")
    assert b"eve" not in head
    assert len(server.messages[0].keys()) == 8
    text, _ = bodies(server.messages[0])
    assert text == body.replace("\r\n", "\n")


async def test_a_file_is_whole_and_private(make_settings: MakeSettings, tmp_path: Path) -> None:
    """Mode 0600 in a folder of mode 0700, whatever the folder was before; the same mail is the same file."""
    folder = tmp_path / "mail"
    folder.mkdir(mode=0o755)
    transport = mail_transport(make_settings())
    claimed = OutboxMail(id=uuid4(), created_at=utc_now())
    await transport.deliver(claimed, mail())
    await transport.deliver(claimed, mail())
    (path,) = folder.iterdir()
    assert path.suffix == ".eml"
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    message = read_mail(path.read_bytes())
    assert message["To"] == "ada@people.example"
    assert bodies(message) == (mail().text, mail().html)


async def test_a_file_has_each_line_as_it_was_written(make_settings: MakeSettings, tmp_path: Path) -> None:
    """A token can be copied from it: no line is cut, and no sign is another one."""
    lines = ["Grüße", f"    https://api.service.example/verify#vrf_{'a=b_' * 20}"]
    letter = Mail(to="ada@people.example", subject="Welcome", text="\n".join([*lines, ""]), html="<p>ü=1</p>\n")
    await deliver(mail_transport(make_settings()), letter)
    (path,) = (tmp_path / "mail").iterdir()
    content = path.read_bytes()
    assert {*lines, letter.html.strip()} <= {*content.decode().splitlines()}
    assert bodies(read_mail(content)) == (letter.text, letter.html)


async def test_a_folder_that_cannot_be_written_to_is_said_in_a_word(tmp_path: Path) -> None:
    """The mail waits."""
    (tmp_path / "file").touch()
    transport = FolderTransport(tmp_path / "file" / "mail", Sender("A", "a@service.example"))
    with pytest.raises(UnreachableError, match="NotADirectoryError"):
        await deliver(transport)
