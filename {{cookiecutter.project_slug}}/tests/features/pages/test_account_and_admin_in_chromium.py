"""The pages of the account and of the administration in Chromium: on a phone and a desktop, light and dark."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from app.access.roles import Role
from tests.support.chromium import DESKTOP, PHONE, grave_findings, visiting
from tests.support.databases import Databases
from tests.support.site import Site, running_site, sign_in

pytestmark = pytest.mark.anyio

ACCOUNT = (
    "/account",
    "/account/sessions",
    "/account/applications",
    "/account/password",
    "/account/email",
    "/account/delete",
)
ADMIN = (
    "/admin",
    "/admin/users",
    "/admin/users?q=nobody",
    "/admin/users/invite",
    "/admin/users/{id}",
    "/admin/users/{id}/roles",
    "/admin/users/{id}/sessions",
    "/admin/users/{id}/delete",
    "/admin/clients",
    "/admin/clients/new",
    "/admin/audit",
    "/admin/audit?actor=x",
    "/admin/routes",
    "/admin/health",
)
LONG = "W" * 100
LOOKS = pytest.mark.parametrize(
    ("viewport", "scheme"),
    [(viewport, scheme) for viewport in (PHONE, DESKTOP) for scheme in ("light", "dark")],
    ids=["phone-light", "phone-dark", "desktop-light", "desktop-dark"],
)


async def looks_right(page: Page, path: str) -> None:
    """Nothing hinders anybody, headings are in order, and the page is no wider than the window."""
    assert await grave_findings(page) == [], path
    levels = await page.eval_on_selector_all("h1, h2, h3, h4", "found => found.map(one => Number(one.tagName[1]))")
    assert levels[:1] == [1], path
    assert levels.count(1) == 1, path
    assert all(after <= before + 1 for before, after in pairwise(levels)), path
    widths = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], (path, widths)


@pytest.mark.asvs("3.2.1", "3.4.3")
@LOOKS
async def test_every_page_for_everybody(chromium: Browser, site: Site, viewport: ViewportSize, scheme: str) -> None:
    """No violation of the content security policy, nothing from elsewhere, no serious finding, nothing cut off."""
    admin, member = await site.person(Role.ADMIN), await site.person()
    async with visiting(chromium, site.url, viewport=viewport, color_scheme=scheme) as (page, _):
        await page.goto("/")
        await looks_right(page, "/")
        await sign_in(page, admin)
        for template in ("/", *ACCOUNT, *ADMIN):
            path = template.replace("{id}", str(member.id))
            answer = await page.goto(path)
            assert answer is not None
            assert answer.status == (422 if path.endswith("=x") else 200), path
            assert page.url == site.url + path
            await looks_right(page, path)


@pytest.mark.asvs("7.4.4")
async def test_with_the_keyboard_alone(chromium: Browser, site: Site) -> None:
    """The first stop leads to the content, every stop can be seen, and signing out is offered on each page."""
    person = await site.person()
    async with visiting(chromium, site.url) as (page, _):
        await sign_in(page, person)
        await page.goto("/account")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await expect(page.locator("#content")).to_be_focused()
        for _stop in range(6):
            await page.keyboard.press("Tab")
            style = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid"
        for path in ACCOUNT:
            await page.goto(path)
            await expect(page.get_by_role("link", name="Sign out").first).to_be_visible()


@pytest.fixture
def wordy_site(tmp_path: Path, databases: Databases) -> Iterator[Site]:
    """A service whose name is long."""
    with running_site(tmp_path, databases, APP_NAME=LONG * 3) as site:
        yield site


async def test_long_names_stay_on_the_page(chromium: Browser, wordy_site: Site) -> None:
    """Of the service, of people and of their devices: a word without a break makes no page wider than a phone."""
    admin = await wordy_site.person(Role.ADMIN)
    async with visiting(chromium, wordy_site.url, viewport=PHONE, user_agent="x" * 300) as (page, _):
        await page.goto("/")
        await looks_right(page, "/")
        await sign_in(page, admin)
        await page.goto("/account")
        await page.get_by_label("What people see").fill(LONG)
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_be_visible()
        for path in ("/account", "/account/sessions", "/admin/users", f"/admin/users/{admin.id}", "/admin/audit"):
            await page.goto(path)
            await looks_right(page, path)


async def test_an_administrator_gives_a_role(chromium: Browser, site: Site) -> None:
    """With the mouse, from the list of the accounts on; without script, for none is needed."""
    admin, member = await site.person(Role.ADMIN), await site.person()
    async with visiting(chromium, site.url, java_script_enabled=False) as (page, _):
        await sign_in(page, admin)
        await page.get_by_role("link", name="Administration").click()
        await page.get_by_role("link", name="Users", exact=True).first.click()
        await page.get_by_label("Address or name").fill(member.email)
        await page.get_by_role("button", name="Search").click()
        await page.get_by_role("link", name=member.email).click()
        await page.get_by_role("link", name="Change roles").click()
        await page.get_by_label("auditor").check()
        await page.get_by_role("button", name="Set roles").click()
        await expect(page.get_by_role("status")).to_contain_text("The roles have been changed")
        await expect(page.locator("dd", has_text="auditor, member")).to_be_visible()


async def test_the_file_of_the_trail_is_a_download(chromium: Browser, site: Site) -> None:
    """The browser saves it, and stays on the page."""
    async with visiting(chromium, site.url) as (page, _):
        await sign_in(page, await site.person(Role.AUDITOR))
        await page.goto("/admin/audit?action=signin_succeeded")
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Download as CSV").click()
        file = await download.value
        assert file.suggested_filename.endswith(".csv")
        text = (await file.path()).read_text(encoding="utf-8")
        assert '"signin_succeeded"' in text
        assert '"account_created"' not in text
