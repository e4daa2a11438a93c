"""Signing in with a provider in a browser, with its rules for cookies, redirects and forms."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser as Chromium, expect

from tests.features.identity.providers.issuer import CLIENT_ID, CLIENT_SECRET, Issuer
from tests.support.database.databases import Databases
from tests.support.pages.chromium import flaws, visiting
from tests.support.pages.site import Site, running_site

pytestmark = pytest.mark.anyio


@pytest.fixture
def own_site(tmp_path: Path, databases: Databases, good: Issuer) -> Iterator[Site]:
    """The service with the provider."""
    provider = {"ISSUER": good.url, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
    settings = {f"IDP_GOOD_{part}": value for part, value in provider.items()}
    with running_site(tmp_path, databases, IDENTITY_PROVIDERS="good", **settings) as site:
        yield site


@pytest.mark.asvs("3.4.3", "3.3.2")
async def test_in_a_browser(chromium: Chromium, own_site: Site, good: Issuer) -> None:
    """There, back and signed in, with one click, and one request elsewhere; nothing hinders anybody on the pages."""
    good.person |= {"email": "in.chromium@people.example", "email_verified": True}
    async with visiting(chromium, own_site.url) as (page, watch):
        await page.goto("/login")
        assert await flaws(page) == []
        await page.get_by_role("button", name="Sign in with Good").click()
        await expect(page.get_by_role("main").get_by_text("in.chromium@people.example")).to_be_visible()
        assert [problem for problem in watch.problems if good.url not in problem] == []
        assert len(watch.problems) == 1
        watch.problems.clear()
        await page.goto("/account/identities")
        await expect(page.get_by_text(good.person["sub"])).to_be_visible()
        assert await flaws(page) == []
