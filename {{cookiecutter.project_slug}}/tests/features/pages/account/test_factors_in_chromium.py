"""Second factors with a browser: add an app by its QR code, keep the codes, sign in with both, remove it again."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.features.factors.steps import App
from tests.support.pages.chromium import PHONE, flaws, visiting
from tests.support.pages.site import Site

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database]


async def add_app(page: Page) -> App:
    """Add an authenticator app, and stay on the page that shows the recovery codes."""
    await page.goto("/account/factors")
    await page.get_by_role("button", name="Add an authenticator app").click()
    app = App(await page.get_by_role("link", name="open it").get_attribute("href") or "")
    assert await flaws(page) == []
    box = await page.get_by_role("img", name="QR code").bounding_box()
    assert box is not None
    assert box["width"] > 150
    await page.get_by_label("Code", exact=True).fill("000000")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_text("The answer is wrong")).to_be_visible()
    code = app.oldest(5)
    await page.get_by_label("Code", exact=True).fill(f"{code[:3]} {code[3:]}")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    return app


@pytest.mark.asvs("6.2.7", "7.2.4")
async def test_the_whole_way_of_a_second_factor(chromium: Browser, site: Site) -> None:
    """On a phone, each page without a finding; a sign-in asks for the code, which the keyboard offers as one."""
    person = await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person), viewport=PHONE) as (page, _):
        app = await add_app(page)
        codes = await page.locator(".codes code").all_inner_texts()
        assert len(codes) == 10
        assert await flaws(page) == []
        await page.get_by_role("link", name="I have kept them").click()
        await expect(page.get_by_text("10 left")).to_be_visible()
        assert await flaws(page) == []
        await page.goto("/logout")
        await page.get_by_role("main").get_by_role("button", name="Sign out").click()
        await sign_in_first_step(page, person.email, person.password)
        field = page.get_by_label("Code")
        assert (await field.get_attribute("autocomplete"), await field.get_attribute("inputmode")) == (
            "one-time-code",
            "numeric",
        )
        assert await flaws(page) == []
        await field.fill("000000")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("wrong, or was used before")).to_be_visible()
        await field.fill(app.fresh())
        await page.get_by_role("button", name="Sign in").click()
        await expect(page).to_have_url(f"{site.url}/account/sessions")
        await page.goto("/confirm?next=/account/factors")
        await page.get_by_label("Password").fill(person.password)
        await page.get_by_role("button", name="Continue").click()
        await page.get_by_role("link", name="Use a recovery code").click()
        assert await flaws(page) == []
        await page.get_by_label("Recovery code").fill(codes[0])
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("9 left")).to_be_visible()
        await page.get_by_role("button", name="Remove: Authenticator app").click()
        await expect(page.get_by_text("You have none yet")).to_be_visible()


async def sign_in_first_step(page: Page, email: str, password: str) -> None:
    """Give address and password on the way to the sessions."""
    await page.goto("/login?next=/account/sessions")
    await page.get_by_label("E-mail address").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Second step")).to_be_visible()
