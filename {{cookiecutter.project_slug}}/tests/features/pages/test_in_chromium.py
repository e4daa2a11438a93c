"""The pages of the sign-in in Chromium: on a phone and a desktop, light and dark."""

import pytest
from playwright.async_api import Browser, expect

from tests.support.chromium import DESKTOP, PHONE, grave_findings, visiting
from tests.support.site import Site, sign_in

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_signing_in(chromium: Browser, site: Site, viewport: object, scheme: str) -> None:
    """Somebody signs in."""
    person = await site.person()
    async with visiting(chromium, site.url, viewport=viewport, color_scheme=scheme) as (page, _):
        await sign_in(page, person)
        await page.goto("/confirm")
        await expect(page.get_by_text(person.email)).to_be_visible()
        assert await grave_findings(page) == []
