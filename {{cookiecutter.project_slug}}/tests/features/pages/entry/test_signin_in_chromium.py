"""The pages up to the sign-in, in Chromium: on a phone and a desktop, light and dark, with script and without."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Cookie, Page, expect

from tests.support.api.account_mail import PASSWORD, TOKEN
from tests.support.database.databases import Databases
from tests.support.pages.chromium import flaws, grave_findings, launched, visiting
from tests.support.pages.site import Site, running_site, sign_in
from tests.support.records.mail import bodies, until

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database]

FOR_EVERYBODY = ("/", "/login", "/register", "/forgot", "/verify", "/reset", "/account/email/confirm", "/nothing")
FOR_THE_SIGNED_IN = ("/confirm", "/logout")


def an_address() -> str:
    """An address that nobody has an account with."""
    return f"{secrets.token_hex(6)}@people.example"


async def mailed_link(site: Site, to: str) -> str:
    """The link in the last mail to the address."""
    text, _ = bodies((await site.mailbox.wait(to))[-1])
    return next(line.strip() for line in text.splitlines() if TOKEN.search(line) and "://" in line)


async def kept(page: Page) -> list[Cookie]:
    """The cookies that a browser keeps, but for the challenge of minutes that `/login` has for a passkey."""
    return [cookie for cookie in await page.context.cookies() if cookie["name"] != "__Host-passkey"]


@pytest.mark.asvs("3.4.3", "3.2.2")
async def test_everybody_can_use_every_page(chromium: Browser, site: Site) -> None:
    """No grave finding of axe, nothing wider than the screen, nothing asked of anybody else, no broken policy."""
    person = await site.person()
    async with visiting(chromium, site.url) as (page, _):
        for path in FOR_EVERYBODY:
            await page.goto(path)
            assert await flaws(page) == [], path
        await page.goto("/register")
        await page.get_by_label("E-mail address").fill("nobody")
        await page.get_by_role("button", name="Create the account").click()
        await expect(page.get_by_text("This is not an e-mail address.")).to_be_visible()
        assert await flaws(page) == [], "a form with mistakes"
        await sign_in(page, person)
        for path in FOR_THE_SIGNED_IN:
            await page.goto(path)
            await expect(page.get_by_role("main").get_by_text(person.email)).to_be_visible()
            assert await flaws(page) == [], path


async def test_the_watch_sees(chromium: Browser, site: Site) -> None:
    """The policy is in force, and what it stops is noticed: without this, the other tests would show nothing."""
    async with visiting(chromium, site.url) as (page, watch):
        await page.goto("/login")
        assert watch.problems == []
        await page.evaluate(
            """() => {
                const script = document.createElement('script');
                script.textContent = 'window.injected = true';
                document.body.append(script);
                const image = document.createElement('img');
                image.src = 'http://127.0.0.1:9/pixel.png';
                document.body.append(image);
                document.body.setAttribute('style', 'color: red');
            }"""
        )
        # Each is told twice: by an event and on the console.
        await until(lambda: len(watch.problems) >= 6)
        assert await page.evaluate("window.injected") is None
        seen = "\n".join(watch.problems)
        assert "script-src" in seen
        assert "img-src http://127.0.0.1:9/pixel.png" in seen
        assert "style-src-attr inline" in seen
        watch.problems.clear()
        await page.goto("/login")
        await page.evaluate("document.querySelector('label').remove()")
        assert [finding.rule for finding in await grave_findings(page)] == ["label"]


@pytest.mark.asvs("14.2.1")
async def test_a_link_from_a_mail(chromium: Browser, site: Site) -> None:
    """Its code goes into the form and out of the address bar; one click later the account is open."""
    email = an_address()
    async with visiting(chromium, site.url) as (page, _):
        await page.goto("/register")
        await page.get_by_label("E-mail address").fill(email)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Create the account").click()
        await expect(page.get_by_role("heading", name="Look into your mailbox")).to_be_visible()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(f"{request.url} {request.headers}"))
        link = await mailed_link(site, email)
        await page.goto(link)
        token = link.partition("#")[2]
        await expect(page.get_by_label("Code")).to_have_value(token)
        assert page.url == f"{site.url}/verify"
        await page.get_by_role("button", name="Confirm").click()
        await expect(page.get_by_role("heading", name="Your address is confirmed")).to_be_visible()
        assert not [request for request in asked if token in request]
        await page.go_back()
        assert token not in page.url
    async with visiting(chromium, site.url) as (page, _):
        await page.goto("/login")
        await page.get_by_label("E-mail address").fill(email)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{site.url}/account")


async def test_another_link_in_the_same_tab(chromium: Browser, site: Site) -> None:
    """Whoever opens a second mail gets its code, though the page is there already; the focus is where to go on."""
    async with visiting(chromium, site.url) as (page, _):
        for number in "12":
            await page.goto(f"/reset#pwr_{number * 43}")
            await expect(page.get_by_label("Code")).to_have_value(f"pwr_{number * 43}")
            assert page.url == f"{site.url}/reset"
            await expect(page.locator("#new_password")).to_be_focused()


async def test_without_script(chromium: Browser, site: Site) -> None:
    """The code of the mail is pasted, and a password that is refused leaves it in the form."""
    person = await site.person()
    async with visiting(chromium, site.url, java_script_enabled=False) as (page, _):
        await page.goto("/login")
        await page.get_by_role("link", name="Forgotten your password?").click()
        await page.get_by_label("E-mail address").fill(person.email)
        await page.get_by_role("button", name="Send the link").click()
        token = (await mailed_link(site, person.email)).partition("#")[2]
        await page.goto("/reset")
        await page.get_by_label("Code").fill(token)
        await page.get_by_label("New password").fill("passwordpassword")
        await page.get_by_role("button", name="Set the password").click()
        await expect(page.get_by_label("New password")).to_have_value("")
        await expect(page.get_by_label("New password")).to_have_accessible_description(
            re.compile("^The password is .* 15 to 128 characters")
        )
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_role("button", name="Set the password").click()
        await expect(page.get_by_role("heading", name="Your password is set")).to_be_visible()


async def test_the_keyboard_is_enough(chromium: Browser, site: Site) -> None:
    """The first stop leads past the navigation, and every stop can be seen."""
    async with visiting(chromium, site.url) as (page, _):
        await page.goto("/nothing")
        await page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the content")
        await expect(skip).to_be_focused()
        await expect(skip).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Go to the start")).to_be_focused()


@pytest.mark.asvs("3.3.1", "3.3.4")
async def test_no_script_reads_the_cookie(chromium: Browser, site: Site) -> None:
    """Chromium takes the `__Host-` cookie on loopback too, and shows it to nobody."""
    person = await site.person()
    async with visiting(chromium, site.url) as (page, _):
        await sign_in(page, person)
        await page.goto("/logout")
        await expect(page.get_by_role("main").get_by_text(person.email)).to_be_visible()
        assert await page.evaluate("document.cookie") == ""
        (cookie,) = await kept(page)
        assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("__Host-session", True, True)
        assert cookie["expires"] == -1


@pytest.mark.asvs("7.4.1", "14.3.1", "14.3.2")
async def test_going_back_after_signing_out_shows_nothing(chromium: Browser, site: Site) -> None:
    """No page of before is kept, neither in the cache nor as it stood; the browser has lost the cookie."""
    person = await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person)) as (page, _):
        await page.goto("/confirm")
        await expect(page.get_by_role("main").get_by_text(person.email)).to_be_visible()
        await page.goto("/logout")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert await kept(page) == []
        for _ in range(2):
            await page.go_back()
            await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
            assert person.email not in await page.content()


@pytest.mark.asvs("14.3.1")
async def test_no_page_comes_back_as_it_stood(chromium_path: str, site: Site) -> None:
    """Chromium keeps pages as they stand for going back, `no-store` too: until the cookie changes, and so not these."""
    person = await site.person()
    async with (
        launched(chromium_path, without=["--disable-back-forward-cache"]) as browser,
        visiting(browser, site.url, storage_state=await site.signed_in(person)) as (page, _),
    ):
        await page.add_init_script("addEventListener('pageshow', event => { window.asItStood = event.persisted })")
        for signed_out, steps, arrived in ((False, -1, "/confirm"), (True, -2, "/login?next=/confirm")):
            await page.goto("/confirm")
            await page.goto("/logout")
            if signed_out:
                await page.get_by_role("button", name="Sign out").click()
                await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
            # Playwright's own way back waits for a page to load.
            await page.evaluate(f"setTimeout(() => history.go({steps}), 0)")
            await page.wait_for_function("url => document.body && location.href === url", arg=f"{site.url}{arrived}")
            assert await page.evaluate("window.asItStood") is not signed_out
            assert (person.email in await page.content()) is not signed_out


@pytest.mark.asvs("14.3.1", "14.3.3")
async def test_signing_out_leaves_other_services_of_the_host_alone(chromium: Browser, site: Site) -> None:
    """Their cookies stay; the session cookie, and what was stored under this origin, are gone."""
    person = await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person)) as (page, _):
        # A cookie knows no port: a service on another port of this host has set it.
        await page.context.add_cookies([{"name": "neighbour", "value": "kept", "domain": "127.0.0.1", "path": "/"}])
        await page.goto("/logout")
        assert await page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
        await page.evaluate("localStorage.setItem('draft', 'mine')")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert [(cookie["name"], cookie["value"]) for cookie in await kept(page)] == [("neighbour", "kept")]
        assert await page.evaluate("localStorage.length") == 0


@pytest.mark.asvs("7.5.3")
async def test_confirming_leads_back(chromium: Browser, site: Site) -> None:
    """With another cookie than before."""
    person = await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person)) as (page, _):
        (before,) = await kept(page)
        await page.goto("/confirm?next=/logout")
        await page.get_by_label("Password").fill(person.password)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{site.url}/logout")
        (after,) = await kept(page)
        assert before["value"] != after["value"]


PLAIN_URL = "http://plain.example"


@pytest.fixture
def plain_site(tmp_path: Path, databases: Databases) -> Iterator[Site]:
    """A site that browsers reach by a name that is no loopback, without TLS."""
    with running_site(tmp_path, databases, PUBLIC_URL=PLAIN_URL) as running:
        yield running


async def test_a_browser_that_keeps_no_secure_cookie_is_told(chromium_path: str, plain_site: Site) -> None:
    """As Safari on `http://127.0.0.1`, so Chromium on a name that is no loopback: it is led back, and told."""
    person = await plain_site.person()
    async with (
        launched(
            chromium_path, f"--host-resolver-rules=MAP plain.example:80 127.0.0.1:{plain_site.server.port}"
        ) as browser,
        visiting(browser, PLAIN_URL) as (page, _),
    ):
        await page.goto("/login")
        told = page.get_by_text("your browser has not kept the cookie")
        await expect(told).to_have_count(0)
        async with page.expect_request(f"{PLAIN_URL}/login?next=/account") as back:
            await sign_in(page, person)
        # It says so over HTTPS too, where nothing else tells this visit from a first one.
        assert (await (await back.value).all_headers())["referer"] == f"{PLAIN_URL}/login"
        await expect(told).to_be_visible()
        assert await kept(page) == []
        assert await flaws(page) == []
