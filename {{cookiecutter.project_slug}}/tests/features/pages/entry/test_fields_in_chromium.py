"""The fields of forms, in Chromium: shown passwords, borders, the focus, the clipboard."""

import re

import pytest
from playwright.async_api import Browser, expect

from tests.support.pages.chromium import SCHEMES, Scheme, flaws, visiting
from tests.support.pages.site import Site

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database]


@pytest.mark.parametrize("path", ["/login", "/register", "/reset", "/confirm", "/account/password", "/account/delete"])
async def test_what_was_typed_as_a_password_can_be_shown(chromium: Browser, site: Site, path: str) -> None:
    """By a button in the field, until the form is sent. Without script there is none."""
    session = await site.signed_in(await site.person()) if path.startswith(("/account", "/confirm")) else None
    async with visiting(chromium, site.url, storage_state=session) as (page, _):
        await page.goto(path)
        field = page.locator("input[type=password]").first
        await field.fill("open sesame")
        field = page.locator(f"#{await field.get_attribute('id')}")
        box = page.locator(".password").filter(has=field)
        for shown in ("text", "password", "text"):
            await box.get_by_role("button").click()
            await expect(field).to_have_attribute("type", shown)
        await expect(box.get_by_role("button")).to_have_accessible_name("Hide what you typed")
        assert await flaws(page) == []
        # Not sent: what counts is how the form stands when it would be.
        form = page.locator("form").filter(has=field)
        await form.evaluate("form => form.addEventListener('submit', event => event.preventDefault())")
        await form.evaluate("form => { form.noValidate = true; form.requestSubmit(); }")
        await expect(field).to_have_attribute("type", "password")
    async with visiting(chromium, site.url, storage_state=session, java_script_enabled=False) as (page, _):
        await page.goto(path)
        await expect(page.locator("input[type=password]").first).to_be_visible()
        await expect(page.locator(".password button")).to_have_count(0)


def _luminance(colour: str) -> float:
    """The relative luminance of a colour as the browser writes it (WCAG 2.2)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_border_of_a_field_can_be_seen(chromium: Browser, site: Site, scheme: Scheme) -> None:
    """With a contrast of 3 to what is around it (WCAG 1.4.11), which axe does not measure."""
    async with visiting(chromium, site.url, color_scheme=scheme) as (page, _):
        await page.goto("/login")
        border = await page.locator("#password").evaluate("field => getComputedStyle(field).borderTopColor")
        around = await page.locator("article").evaluate("box => getComputedStyle(box).backgroundColor")
        dark, light = sorted((_luminance(border), _luminance(around)))
        assert (light + 0.05) / (dark + 0.05) >= 3


async def test_the_focus_is_where_to_go_on(chromium: Browser, site: Site) -> None:
    """On the first field; after a mistake on the first field that is wrong, with the reason as its description."""
    async with visiting(chromium, site.url) as (page, _):
        await page.goto("/register")
        await expect(page.locator("#email")).to_be_focused()
        await page.get_by_label("E-mail address").fill("ada@people.example")
        await page.get_by_label("Password").fill("too short")
        await page.keyboard.press("Enter")
        password = page.get_by_label("Password")
        await expect(password).to_have_attribute("aria-invalid", "true")
        await expect(page.locator("#password")).to_be_focused()
        assert "Use at least 15 characters." in str(await page.locator("#password-help").text_content())
        await expect(page.get_by_label("E-mail address")).to_have_value("ada@people.example")
        await expect(page).to_have_title(re.compile("^Error: Create an account"))


@pytest.mark.asvs("6.2.7")
async def test_a_password_can_be_pasted(chromium: Browser, site: Site) -> None:
    """However long it is."""
    async with visiting(chromium, site.url) as (page, _):
        await page.goto("/register")
        name = page.get_by_label("Name")
        await name.fill("x" * 128)
        await name.press("Control+a")
        await name.press("Control+c")
        password = page.get_by_label("Password")
        await password.press("Control+v")
        await expect(password).to_have_value("x" * 128)
