"""The mails about accounts."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from app.core.limits import Limiter
from app.core.mail.outbox import MailFolders, Outbox
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.accounts.events import Alert
from app.features.accounts.mailed.mails import TEMPLATES, AccountMail, MailKind
from tests.conftest import PUBLIC_URL, StartService
from tests.support.api.account_mail import PASSWORD, Post, with_the_texts_for_clients
from tests.support.records.mail import Mailbox, bodies
from tests.support.service import Service

pytestmark = pytest.mark.anyio

HOSTILE = "<b>{{7*7}}</b>${7*7}#{7*7}%s&amp;"


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who read their mail."""
    return Post(service, mailbox)


@pytest.mark.asvs("1.1.2", "1.2.1", "1.3.7")
async def test_a_hostile_name_arrives_as_text(post: Post) -> None:
    """Escaped in HTML, as it is in the text, and no template runs it."""
    person, tokens = await post.service.signed_in()
    await post.service.client.patch("/api/v1/users/me", json={"display_name": HOSTILE}, headers=tokens.bearer)
    await post.forgot(person.email)
    (message,) = await post.mailbox.wait(person.email)
    text, html = bodies(message)
    assert f"Hello {HOSTILE}," in text
    assert "Hello &lt;b&gt;{{7*7}}&lt;/b&gt;${7*7}#{7*7}%s&amp;amp;," in html
    assert "49" not in text.replace(text[text.index("pwr_") :][:47], "")
    assert HOSTILE not in message["Subject"]


async def test_nobody_is_greeted_by_a_name_that_may_be_a_strangers_message(post: Post) -> None:
    """The name of a registration is in no mail before the address is confirmed."""
    await post.register("ada@people.example", display_name="Call 555 0100 now")
    await post.forgot("ada@people.example")
    for message in await post.mailbox.wait("ada@people.example", 2):
        assert "555 0100" not in message.as_string()


@pytest.mark.asvs("4.1.3")
async def test_what_to_do_is_built_from_the_public_url(start: StartService, mailbox: Mailbox) -> None:
    """Whatever host the request named; the token is no part of a URL."""
    async with start(allowed_hosts="service.example,other.example") as service:
        post = with_the_texts_for_clients(Post(service, mailbox))
        headers = {"Host": "other.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
        body = {"email": "ada@people.example", "password": PASSWORD}
        assert (await post("/accounts", body, headers=headers)).status_code == 202
        (message,) = await mailbox.wait("ada@people.example")
        for each in bodies(message):
            assert f"POST {PUBLIC_URL}/api/v1/accounts/verify\n" in each
            assert "other.example" not in each
            assert "evil.example" not in each
            assert "?token" not in each
        assert "@people.example" not in bodies(message)[0].replace("operator@service.example", "")


async def test_a_mail_says_what_to_do_and_where(post: Post) -> None:
    """The line in the mail, with the password in its place, is what the service takes."""
    await with_the_texts_for_clients(post).register("ada@people.example")
    lines = (await post.text("ada@people.example")).splitlines()
    (request,) = [number for number, line in enumerate(lines) if line.lstrip().startswith("POST ")]
    url, body = lines[request].split()[1], lines[request + 1].strip().replace("…", PASSWORD)
    headers = {"Content-Type": "application/json"}
    assert (await post.service.client.post(url, content=body, headers=headers)).status_code == 204
    assert (await post.service.try_sign_in("ada@people.example", PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    "name", ["N" * 300, "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627 \U0001f468\u200d\U0001f467 \U0001fa77"]
)
async def test_every_name_of_the_service_fits_every_subject(start: StartService, mailbox: Mailbox, name: str) -> None:
    """The longest that the settings take, and one with joiners and a character that is new."""
    async with start(app_name=name) as service:
        await Post(service, mailbox).register("ada@people.example")
        (message,) = await mailbox.wait("ada@people.example")
        assert message["Subject"].endswith(": Confirm your e-mail address")


async def test_every_mail_has_its_templates() -> None:
    """Text and HTML for each, and no file that is left over."""
    names = {path.name for path in TEMPLATES.iterdir()}
    assert names == {f"{kind}.{suffix}" for kind in (*MailKind, *Alert, "layout") for suffix in ("txt", "html")}


async def test_other_texts_come_first_and_a_broken_one_stops_the_boot(post: Post, tmp_path: Path) -> None:
    """A folder has some of the templates; what it does not have is taken from here; each is tried at once."""
    mail = post.service[AccountMail]
    folder = tmp_path / "texts"
    folder.mkdir()
    for suffix in ("txt", "html"):
        (folder / f"verify.{suffix}").write_text("Welcome! {{ token }}\n", encoding="utf-8")
    mail.folders = (folder, *mail.folders)
    await post.register("ada@people.example")
    assert (await post.text("ada@people.example")).startswith("Welcome! vrf_")
    person = await post.service.person()
    await post.forgot(person.email)
    assert "Somebody has asked for a new password" in await post.text(person.email)
    (folder / "reset.txt").write_text("{{ nobody_knows }}", encoding="utf-8")
    services = Services()
    services.add(MailFolders({TEMPLATES: MailKind, folder: ()}))
    for kind in (Limiter, Outbox, Settings):
        services.add(post.service[kind], kind=kind)
    with pytest.raises(UndefinedError):
        AccountMail(services)
