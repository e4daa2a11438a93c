"""The pages of the account and of the administration in Chromium: on a phone and a desktop, light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from app.access.roles import Role
from tests.support.database.databases import Databases
from tests.support.pages.chromium import PHONE, flaws, visiting
from tests.support.pages.site import Site, running_site, sign_in

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database]

ACCOUNT = (
    "/",
    "/account",
    "/account/sessions",
    "/account/applications",
    "/account/password",
    "/account/factors",
    "/account/email",
    "/account/data",
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


@pytest.mark.asvs("3.2.1", "3.4.3", "7.4.4")
@pytest.mark.parametrize("paths", [ACCOUNT, ADMIN], ids=["account", "admin"])
async def test_every_page_is_for_everybody(chromium: Browser, site: Site, paths: tuple[str, ...]) -> None:
    """No violation of the policy, nothing from elsewhere, no serious finding, nothing cut off; each lets sign out."""
    admin, member = await site.person(Role.ADMIN), await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(admin)) as (page, _):
        for template in paths:
            path = template.replace("{id}", str(member.id))
            answer = await page.goto(path)
            assert answer is not None
            assert answer.status == (422 if path.endswith("=x") else 200), path
            assert page.url == site.url + path
            await expect(page.get_by_role("link", name="Sign out").first).to_be_visible()
            assert await flaws(page) == [], path


@pytest.mark.asvs("3.2.1", "3.4.3")
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("On a server", "The secret is shown this once"),
        ("On a device or in a browser", "A public client has no secret"),
    ],
    ids=["confidential", "public"],
)
async def test_the_pages_of_a_client_are_for_everybody(chromium: Browser, site: Site, kind: str, told: str) -> None:
    """The one that shows a new secret, or that there is none, and that of the client: as every other page."""
    admin = await site.person(Role.ADMIN)
    async with visiting(chromium, site.url, storage_state=await site.signed_in(admin)) as (page, _):
        await page.goto("/admin/clients/new")
        await page.get_by_role("textbox", name="Name").fill(LONG)
        await page.get_by_label(kind).check()
        await page.get_by_label("Redirect addresses").fill(f"https://client.example/{LONG}")
        await page.get_by_role("group", name="Scope").get_by_label("account:read").check()
        await page.get_by_role("button", name="Register").click()
        await expect(page.get_by_text(told)).to_be_visible()
        assert await flaws(page) == []
        await page.get_by_role("link", name="To the client").click()
        await expect(page.get_by_role("button", name="Remove client")).to_be_visible()
        assert await flaws(page) == []


async def test_a_client_is_asked_for_what_its_kind_needs(chromium: Browser, site: Site) -> None:
    """A program has roles, and no page to come back to; what is wrong is shown whatever the kind. Without script."""
    admin = await site.person(Role.ADMIN)
    session = await site.signed_in(admin)
    async with visiting(chromium, site.url, storage_state=session, java_script_enabled=False) as (page, _):
        await page.goto("/admin/clients/new")
        addresses, roles = page.get_by_label("Redirect addresses"), page.get_by_role("group", name="Roles")
        await expect(addresses).to_be_visible()
        await expect(roles).to_be_hidden()
        await addresses.fill("https://client.example/back")
        await page.get_by_label("A program").check()
        await expect(addresses).to_be_hidden()
        await expect(roles).to_be_visible()
        await page.get_by_role("textbox", name="Name").fill("Nightly")
        await page.get_by_role("group", name="Scope").get_by_label("account:read").check()
        await roles.get_by_label("member").check()
        await page.get_by_role("button", name="Register").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await expect(addresses).to_be_visible()


async def test_on_a_phone_the_head_and_the_section_are_one_row_each(chromium: Browser, site: Site) -> None:
    """The list of pages is scrolled, and the rows of the trail stand below each other: nothing is cut off."""
    admin = await site.person(Role.ADMIN)
    async with visiting(chromium, site.url, viewport=PHONE, storage_state=await site.signed_in(admin)) as (page, _):
        await page.goto("/admin/audit")
        assert await page.get_by_role("banner").evaluate("e => e.clientHeight") < 60
        pages = page.get_by_role("navigation", name="Administration").get_by_role("link")
        assert len(await pages.evaluate_all("links => [...new Set(links.map(e => e.getBoundingClientRect().y))]")) == 1
        cells = page.locator("tbody tr").first.locator("td")
        assert len(await cells.evaluate_all("cells => [...new Set(cells.map(e => e.getBoundingClientRect().x))]")) == 1
        assert await page.locator(".table").evaluate("e => e.scrollWidth <= e.clientWidth")


async def test_on_a_desktop_the_head_of_a_table_stays_in_sight(chromium: Browser, site: Site) -> None:
    """However far the rows are scrolled."""
    admin = await site.person(Role.ADMIN)
    async with visiting(chromium, site.url, storage_state=await site.signed_in(admin)) as (page, _):
        await page.goto("/admin/routes")
        await page.locator("tbody tr").last.scroll_into_view_if_needed()
        await expect(page.get_by_role("columnheader", name="Path")).to_be_in_viewport()


async def test_with_the_keyboard_alone(chromium: Browser, site: Site) -> None:
    """The first stop leads to the content, and every stop can be seen."""
    session = await site.signed_in(await site.person())
    async with visiting(chromium, site.url, storage_state=session) as (page, _):
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


async def test_the_menu_says_who_is_signed_in(chromium: Browser, site: Site) -> None:
    """On a phone, without script: it opens and closes, leads to the account, and signs out at once."""
    admin = await site.person(Role.ADMIN)
    session = await site.signed_in(admin)
    async with visiting(chromium, site.url, viewport=PHONE, storage_state=session, java_script_enabled=False) as (
        page,
        _,
    ):
        await page.goto("/admin/users")
        menu, button = page.locator("#menu"), page.get_by_role("button", name="Your menu")
        await expect(menu).to_be_hidden()
        await button.click()
        await expect(menu.get_by_text(admin.email)).to_be_in_viewport(ratio=1)
        await page.keyboard.press("Escape")
        await expect(menu).to_be_hidden()
        await expect(button).to_be_focused()
        await button.click()
        await menu.get_by_role("link", name="Account").click()
        await expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
        await button.click()
        await menu.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(admin)) as (page, _):
        await page.goto("/account")
        await page.get_by_role("button", name="Your menu").click()
        assert await flaws(page) == []
        await expect(page.locator("#menu")).to_be_visible()


async def test_a_click_anywhere_in_a_row_of_the_overview_leads_on(chromium: Browser, site: Site) -> None:
    """Also beside its link."""
    session = await site.signed_in(await site.person())
    async with visiting(chromium, site.url, viewport=PHONE, storage_state=session) as (page, _):
        await page.goto("/account")
        await page.get_by_text("Where you are signed in").click(force=True)  # the link covers it
        await expect(page.get_by_role("heading", name="Sessions")).to_be_visible()


@pytest.fixture
def wordy_site(tmp_path: Path, databases: Databases) -> Iterator[Site]:
    """A service whose name is long."""
    with running_site(tmp_path, databases, APP_NAME=LONG * 3) as site:
        yield site


async def test_long_names_stay_on_the_page(chromium: Browser, wordy_site: Site) -> None:
    """Of the service, of people and of their devices: a word without a break makes no page wider than its window."""
    admin = await wordy_site.person(Role.ADMIN)
    async with visiting(chromium, wordy_site.url, viewport=PHONE, user_agent="x" * 300) as (page, _):
        await page.goto("/")
        assert await flaws(page) == []
        # By the form: the session is to be of this device.
        await sign_in(page, admin)
        await page.goto("/account")
        await page.get_by_label("What people see").fill(LONG)
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_be_visible()
        for path in ("/account", "/account/sessions", "/admin/users", f"/admin/users/{admin.id}", "/admin/audit"):
            await page.goto(path)
            assert await flaws(page) == [], path


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
    session = await site.signed_in(await site.person(Role.AUDITOR))
    async with visiting(chromium, site.url, storage_state=session) as (page, _):
        await page.goto("/admin/audit?action=signin_succeeded")
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Download as JSON lines").click()
        file = await download.value
        assert file.suggested_filename.endswith(".jsonl")
        text = (await file.path()).read_text(encoding="utf-8")
        assert '"signin_succeeded"' in text
        assert '"account_created"' not in text
