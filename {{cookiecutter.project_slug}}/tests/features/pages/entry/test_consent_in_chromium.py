"""The page on which users decide about a client, in Chromium: from the client's address to its code."""

from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from playwright.async_api import Browser, expect

from app.access.roles import Role
from tests.support.pages.chromium import flaws, visiting
from tests.support.pages.other_origin import SAME_SITE, serving
from tests.support.pages.site import Site

pytestmark = pytest.mark.anyio

# A page of this service stands in for the client's: the browser is to be seen going nowhere else.
CALLBACK = "/"


async def address_of_a_client(site: Site, redirect_uri: str | None = None) -> str:
    """Where a client, which an administrator has just registered, sends a browser."""
    admin, redirect_uri = await site.person(Role.ADMIN), redirect_uri or f"{site.url}{CALLBACK}"
    new = {"name": "Photo Prints", "scope": "account:read account:write", "redirect_uris": [redirect_uri]}
    async with httpx2.AsyncClient(base_url=site.url, timeout=30) as http:
        tokens = await http.post("/api/v1/signin", json={"email": admin.email, "password": admin.password})
        bearer = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
        client = (await http.post("/api/v1/clients", json=new, headers=bearer)).json()
    query = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": redirect_uri,
        "scope": "account:read",
        "state": "s",
        "code_challenge": "a" * 43,
        "code_challenge_method": "S256",
    }
    return f"/oauth/authorize?{urlencode(query)}"


@pytest.mark.asvs("3.4.3", "10.7.2")
async def test_a_user_signs_in_and_allows(chromium: Browser, site: Site) -> None:
    """Sign-in leads on to the question, the answer to the client, and no policy stops a form on its way."""
    person, address = await site.person(), await address_of_a_client(site)
    async with visiting(chromium, site.url) as (page, watch):
        await page.goto(address)
        await page.get_by_label("E-mail address").fill(person.email)
        await page.get_by_label("Password").fill(person.password)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Allow Photo Prints?")).to_be_visible()
        assert await flaws(page) == []
        await page.get_by_role("button", name="Allow", exact=True).click()
        await page.wait_for_url(lambda url: urlsplit(url).path == CALLBACK)
        told = parse_qs(urlsplit(page.url).query)
        assert (told["state"], told["iss"], len(told["code"])) == (["s"], [site.url], 1)
        assert watch.problems == []


async def test_a_user_does_not_allow(chromium: Browser, site: Site) -> None:
    """The client is told, and nothing is kept: the next time, the question is asked again."""
    person, address = await site.person(), await address_of_a_client(site)
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person)) as (page, _):
        await page.goto(address)
        await page.get_by_role("button", name="Do not allow").click()
        await page.wait_for_url(lambda url: urlsplit(url).path == CALLBACK)
        assert parse_qs(urlsplit(page.url).query)["error"] == ["access_denied"]
        await page.goto(address)
        await expect(page.get_by_role("button", name="Allow", exact=True)).to_be_visible()


REPORTS = "<script>if (opener) { opener.postMessage(location.search, origin); close(); }</script>"


async def test_a_client_hears_from_the_window_that_it_opened(chromium: Browser, site: Site) -> None:
    """A pop-up signs in, mistypes, decides, and tells the page of the client, which is of another origin."""
    person = await site.person()
    with serving() as client:
        origin = f"http://{SAME_SITE}:{client.port}"
        client.page = REPORTS
        address = await address_of_a_client(site, f"{origin}/callback")
        async with visiting(chromium, site.url) as (page, watch):
            await page.goto(f"{origin}/")
            await page.evaluate("addEventListener('message', event => { window.told = event.data })")
            async with page.expect_popup() as opened:
                await page.evaluate(
                    "address => void window.open(address, 'authorize', 'popup')", f"{site.url}{address}"
                )
            popup = await opened.value
            await popup.get_by_label("E-mail address").fill(person.email)
            await popup.get_by_label("Password").fill("wrong")
            await popup.get_by_role("button", name="Sign in").click()
            await expect(popup.get_by_text("The e-mail address or the password is wrong.")).to_be_visible()
            await popup.get_by_label("Password").fill(person.password)
            await popup.get_by_role("button", name="Sign in").click()
            await popup.get_by_role("button", name="Allow", exact=True).click()
            answer = await page.wait_for_function("window.told")
            told = parse_qs((await answer.json_value()).removeprefix("?"))
            assert (told["state"], told["iss"], len(told["code"])) == (["s"], [site.url], 1)
            watch.problems.clear()
