"""`app/features/pages/entry/mailed.py`: registering, recovering and confirming, by pages and mail."""

import re

import httpx2
import pytest

from app.access.roles import Role
from app.features.accounts.events import Alert
from app.features.accounts.mailed.mails import MailKind
from app.features.pages.feature import FOLDER
from tests.conftest import PUBLIC_URL, StartService
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.pages.browser import Browser, text_of
from tests.support.records.mail import Mailbox, bodies
from tests.support.service import Service

pytestmark = pytest.mark.anyio

ADA = "ada@people.example"
ANOTHER = "another row of seven unlikely words"
ME = "/api/v1/users/me"


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """The mail of the people."""
    return Post(service, mailbox)


async def links(mailbox: Mailbox, to: str, number: int = 1) -> list[str]:
    """The addresses in the text of that mail, which are those in its HTML; the last line is the service's own."""
    text, html = bodies((await mailbox.wait(to, number))[number - 1])
    found = [line.strip() for line in text.splitlines() if line.strip().startswith("https://")]
    assert found[-1] == PUBLIC_URL
    assert re.findall(r'href="([^"]+)"', html) == found[:-1]
    return found[:-1]


async def follow(mailbox: Mailbox, browser: Browser, to: str, number: int = 1) -> tuple[str, str]:
    """Open the link of a mail: the path that the browser asks for, and the token that it keeps to itself."""
    (link,) = await links(mailbox, to, number)
    address, _, token = link.partition("#")
    path = address.removeprefix(PUBLIC_URL)
    assert (await browser.get(path)).status_code == 200
    return path, token


async def test_from_nobody_to_signed_in(service: Service, mailbox: Mailbox) -> None:
    """Register, open the link of the mail, confirm, sign in."""
    browser = Browser(service)
    sent = await browser.post("/register", email=ADA, password=PASSWORD, display_name="Ada")
    assert sent.status_code == 202
    assert ADA in sent.text
    assert (await browser.post("/login", email=ADA, password=PASSWORD)).status_code == 401
    path, token = await follow(mailbox, browser, ADA)
    assert path == "/verify"
    assert "Your address is confirmed" in text_of(await browser.post(path, token=token))
    assert (await browser.post("/login", email=ADA, password=PASSWORD)).status_code == 303
    assert (await browser.get(ME)).json()["display_name"] == "Ada"


async def test_the_longest_registration_fits(service: Service) -> None:
    """A form writes each character as up to twelve."""
    password, email = "".join(map(chr, range(0x1F400, 0x1F480))), f"{'a' * 64}@{'.'.join(['d' * 59] * 3)}.example"
    sent = await Browser(service).post(
        "/register", email=email, password=password, display_name="\U0001fa77\u200d" * 49 + "\U0001fa77"
    )
    assert sent.status_code == 202


@pytest.mark.asvs("6.3.8")
async def test_a_page_tells_nobody_who_has_an_account(service: Service) -> None:
    """Registering and forgetting look the same for an address that is known, unknown, disabled, or waits."""
    browser, known, disabled = Browser(service), await service.person(), await service.person()
    _, admin = await service.signed_in(Role.ADMIN)
    await service.client.patch(f"/api/v1/users/{disabled.id}", json={"disabled": True}, headers=admin.bearer)
    for path, more in (("/register", {"password": PASSWORD}), ("/forgot", {})):
        pages = set()
        for email in (known.email, disabled.email, "nobody@people.example", "nobody@people.example"):
            answer = await browser.post(path, email=email, **more)
            assert answer.status_code == 202
            pages.add(answer.text.replace(email, "…"))
        assert len(pages) == 1


async def test_a_forgotten_password(service: Service, mailbox: Mailbox) -> None:
    """Ask, open the link, set another: every session is over, that of this browser too."""
    browser, person = Browser(service), await service.person()
    await browser.sign_in(person)
    assert (await browser.post("/forgot", email=person.email)).status_code == 202
    path, token = await follow(mailbox, browser, person.email)
    assert path == "/reset"
    done = await browser.post(path, token=token, new_password=ANOTHER)
    assert "Your password is set" in text_of(done)
    assert 'href="/login"' in done.text
    assert "Clear-Site-Data" in done.headers
    assert browser.cookie is None
    assert (await browser.sign_in(person)).status_code == 401
    assert (await browser.post("/login", email=person.email, password=ANOTHER)).status_code == 303


async def test_somebody_elses_reset_leaves_a_browser_signed_in(service: Service, mailbox: Mailbox) -> None:
    """Only the sessions of the account that it is for end."""
    browser, mine, other = Browser(service), await service.person(), await service.person()
    await browser.sign_in(mine)
    await browser.post("/forgot", email=other.email)
    path, token = await follow(mailbox, browser, other.email)
    done = await browser.post(path, token=token, new_password=ANOTHER)
    assert "Clear-Site-Data" not in done.headers
    assert (await browser.get(ME)).json()["email"] == mine.email


@pytest.mark.asvs("6.4.3")
async def test_a_password_that_is_refused_costs_no_token(service: Service, mailbox: Mailbox) -> None:
    """It has left the address bar, so the form has it again; the password is told what is wrong with it."""
    browser, person = Browser(service), await service.person()
    await browser.post("/forgot", email=person.email)
    path, token = await follow(mailbox, browser, person.email)
    for refused in ("short", "passwordpassword", person.email * 2):
        answer = await browser.post(path, token=token, new_password=refused)
        assert answer.status_code == 422
        assert f'value="{token}"' in answer.text
        assert refused not in answer.text
    assert (await browser.post(path, token=token, new_password=ANOTHER)).status_code == 200


async def test_a_new_address(service: Service, mailbox: Mailbox) -> None:
    """The mail to the new address leads to a page that makes it the account's."""
    browser, person = Browser(service), await service.person()
    tokens = await service.sign_in(person)
    body = {"new_email": ADA, "current_password": person.password}
    assert (await service.client.post(f"{ME}/email", json=body, headers=tokens.bearer)).status_code == 202
    path, token = await follow(mailbox, browser, ADA)
    assert path == "/account/email/confirm"
    assert "Your new address is confirmed" in text_of(await browser.post(path, token=token))
    assert (await service.whoami(tokens)).json()["email"] == ADA


async def test_an_invitation(service: Service, mailbox: Mailbox) -> None:
    """Leads to the page on which to choose a password, which opens the account."""
    browser = Browser(service)
    _, admin = await service.signed_in(Role.ADMIN)
    body = {"email": ADA, "roles": ["auditor"]}
    assert (await service.client.post("/api/v1/invitations", json=body, headers=admin.bearer)).status_code == 202
    path, token = await follow(mailbox, browser, ADA)
    assert (await browser.post(path, token=token, new_password=ANOTHER)).status_code == 200
    assert (await browser.post("/login", email=ADA, password=ANOTHER)).status_code == 303


async def test_two_passwords_lead_to_a_choice(service: Service, mailbox: Mailbox) -> None:
    """Registered with two, confirmed by a click: neither holds, and the next mail leads to the page to choose one."""
    browser = Browser(service)
    for password in (PASSWORD, ANOTHER):
        await browser.post("/register", email=ADA, password=password)
    path, token = await follow(mailbox, browser, ADA, 2)
    assert "Another mail is on its way" in text_of(await browser.post(path, token=token))
    path, token = await follow(mailbox, browser, ADA, 3)
    assert path == "/reset"
    assert (await browser.post(path, token=token, new_password=PASSWORD)).status_code == 200


async def test_who_has_an_account_is_led_to_it(service: Service, mailbox: Mailbox) -> None:
    """By mail alone: to sign in, or to get another password."""
    person = await service.person()
    await Browser(service).post("/register", email=person.email, password=PASSWORD)
    assert await links(mailbox, person.email) == [f"{PUBLIC_URL}/login", f"{PUBLIC_URL}/forgot"]


@pytest.mark.asvs("14.2.1")
async def test_the_token_is_in_nothing_that_a_browser_sends(post: Post, mailbox: Mailbox) -> None:
    """Neither in the path nor in the query of the link, but behind the `#`. Its page refers to nobody else."""
    await post.register(ADA)
    (link,) = await links(mailbox, ADA)
    url = httpx2.URL(link)
    assert (url.path, url.query) == ("/verify", b"")
    assert url.fragment == await post.token(ADA)
    page = await Browser(post.service).get("/verify")
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.asvs("3.5.3")
async def test_opening_a_link_uses_nothing_up(post: Post, mailbox: Mailbox) -> None:
    """However often, by whatever looks at links: the token still works, and then once."""
    browser = Browser(post.service)
    await post.register(ADA)
    for _ in range(3):
        path, token = await follow(mailbox, browser, ADA)
    assert (await browser.client.head(path)).status_code == 200
    assert (await browser.post(path, token=token)).status_code == 200
    answer = await browser.post(path, token=token)
    assert answer.status_code == 400
    assert "The token is not valid" in text_of(answer)
    assert 'aria-invalid="true"' in answer.text


@pytest.mark.parametrize("typed", ["{token}", "  {token}\r\n", "https://service.example/verify#{token}"])
async def test_a_code_that_is_pasted(post: Post, typed: str) -> None:
    """Without the script: as it is, with blanks around it, or as the whole link."""
    await post.register(ADA)
    token = await post.token(ADA)
    answer = await Browser(post.service).post("/verify", token=typed.format(token=token))
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/verify", "/reset", "/account/email/confirm"])
@pytest.mark.parametrize("token", ["x", "vrf_" + "x" * 43, "pwr_" + "x" * 43, "eml_" + "é" * 43, "#", "a" * 1001])
async def test_any_other_code_opens_nothing(service: Service, path: str, token: str) -> None:
    """It is said beside the field; the script that fills it in may still run."""
    more = {"new_password": ANOTHER} if path == "/reset" else {}
    answer = await Browser(service).post(path, token=token, **more)
    assert answer.status_code in {400, 422}
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert re.search(r'<input id="token"[^>]*aria-invalid="true"', answer.text)


async def test_where_nobody_can_register(start: StartService, mailbox: Mailbox) -> None:
    """The page says so with 403, the form is not read, and nobody gets a mail; a reset still works."""
    async with start(registration="closed") as service:
        browser, person = Browser(service), await service.person()
        assert (await browser.get("/register")).status_code == 403
        answer = await browser.post("/register", email=ADA, password=PASSWORD)
        assert answer.status_code == 403
        assert "An administrator invites." in text_of(answer)
        await browser.post("/forgot", email=person.email)
        await mailbox.wait(person.email)
        assert not mailbox.messages(ADA)


def test_the_pages_have_a_text_for_every_mail_that_they_change() -> None:
    """Text and HTML for each; whatever tells clients of the API what to send is among them."""
    names = {path.name for path in (FOLDER / "mails").iterdir()}
    changed = {name.partition(".")[0] for name in names}
    assert names == {f"{kind}.{suffix}" for kind in changed for suffix in ("txt", "html")}
    assert changed <= {*MailKind, *Alert}
    assert changed == {
        "verify",
        "account_exists",
        "reset",
        "choose_password",
        "email_change",
        "email_change_requested",
        "invitation",
        "new_application",
        "new_device",
    }


async def test_no_mail_tells_people_to_speak_json(post: Post, mailbox: Mailbox) -> None:
    """Where the pages are there, nothing is left of the texts for clients of the API."""
    await post.register(ADA)
    await post.forgot(ADA)
    for message in await mailbox.wait(ADA, 2):
        for each in bodies(message):
            assert "POST " not in each
            assert "/api/" not in each
