"""`/docs`: Swagger UI from this service alone, under a content security policy without exceptions."""

import hashlib
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from playwright.async_api import Browser as Chromium, expect

from app.access.roles import Role
from app.features.pages.kit.site import FOLDER
from tests.conftest import StartService
from tests.support.pages.browser import Browser
from tests.support.pages.chromium import PHONE, Scheme, grave_findings, visiting
from tests.support.pages.site import Site
from tests.support.service import Service

pytestmark = pytest.mark.anyio

SWAGGER = FOLDER / "swagger"
SUMS = SWAGGER / "SHA256SUMS.txt"

# What axe-core finds in Swagger UI as it comes: the rule, and the elements that break it.
# The button that opens an operation has the one that copies its path inside.
NESTED = {("nested-interactive", ".opblock-summary-control")}
# Its light colours: white on something pale, or something pale on white.
PALE = {
    ("color-contrast", selector)
    for selector in (
        ".info .url",
        ".info pre.version",
        ".btn.authorize > span",
        ".opblock-summary-method",
        ".json-schema-2020-12-expand-deep-button",
    )
}


def test_the_files_are_the_ones_on_record() -> None:
    """Nobody changes a byte of what others wrote without changing its checksum, and nothing comes in without one."""
    lines = [line.split("  ") for line in SUMS.read_text(encoding="utf-8").splitlines()]
    files = {path.name: path for path in SWAGGER.iterdir() if path.name not in {SUMS.name, "README.txt"}}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == {
        name: digest for digest, name in lines
    }


@pytest.mark.asvs("3.4.3")
async def test_the_policy_of_the_page_has_no_exceptions(service: Service) -> None:
    """Scripts from this service alone, none inline, no `eval`, and no requests to anybody else."""
    for path in ("/docs", "/docs/oauth2-redirect"):
        answer = await Browser(service).get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'" in policy
        assert "<script>" not in answer.text
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.asvs("13.4.5")
async def test_is_for_those_who_may_read_the_description(start: StartService) -> None:
    """In production whoever is nobody has to sign in, and a member may not; an administrator may."""
    async with start(environment="production") as service:
        nobody = await Browser(service).get("/docs")
        assert (nobody.status_code, nobody.headers["Location"]) == (303, "/login?next=/docs")
        for role, status in ((Role.MEMBER, 403), (Role.ADMIN, 200)):
            browser = Browser(service)
            await browser.sign_in(await service.person(role))
            assert (await browser.get("/docs")).status_code == status
            assert (await browser.get("/openapi.json")).status_code == status
        assert (await service.client.get("/docs", headers={"Accept": "*/*"})).status_code == 401


async def test_the_code_in_the_address_is_told_to_nobody(service: Service) -> None:
    """The page to which the authorization server sends the browser back sends no `Referer`."""
    answer = await Browser(service).get("/docs/oauth2-redirect?code=x&state=y")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "code=x" not in answer.text


@pytest.mark.same_on_every_database
async def test_shows_every_operation_whatever_a_link_says(chromium: Chromium, site: Site) -> None:
    """Each of this service's document, and nothing else is asked for: `visiting` sees every foreign request."""
    async with visiting(chromium, site.url) as (page, _):
        await page.goto("/docs?url=https://evil.example/openapi.json&configUrl=https://evil.example/config.json")
        await expect(page.locator(".opblock").first).to_be_visible()
        document = await (await page.request.get("/openapi.json")).json()
        assert await page.locator(".opblock").count() == sum(len(methods) for methods in document["paths"].values())
        await expect(page.locator(".opblock-summary-path", has_text="/livez")).to_be_visible()


@pytest.mark.same_on_every_database
async def test_hinders_nobody_more_than_swagger_ui_does(chromium: Chromium, site: Site) -> None:
    """Light or dark, closed or opened, axe finds what is known of it and nothing else, and all of what is known."""
    async with visiting(chromium, site.url) as (page, _):
        known_of: dict[Scheme, set[tuple[str, str]]] = {"light": NESTED | PALE, "dark": NESTED}
        for scheme, known in known_of.items():
            await page.emulate_media(color_scheme=scheme)
            await page.goto("/docs")
            operation = page.locator(".opblock", has=page.locator('[data-path="/api/v1/signin"]'))
            await operation.locator(".opblock-summary-control").click()
            await expect(operation.get_by_role("button", name="Try it out")).to_be_visible()
            found = await grave_findings(page, selectors=[selector for _, selector in known])
            assert {(finding.rule, *(finding.matches or [finding.html])) for finding in found} == known, scheme


@pytest.mark.asvs("14.3.3")
@pytest.mark.same_on_every_database
async def test_authorize_gets_a_token_by_code_and_pkce(chromium: Chromium, site: Site) -> None:
    """The button signs in, in a window of its own; what is tried then is asked for with the token, and shown."""
    person = await site.person()
    async with visiting(chromium, site.url, viewport=PHONE, color_scheme="dark") as (page, _):
        await page.goto("/docs")
        await page.get_by_role("button", name="Authorize").first.click()
        dialog = page.locator(".auth-container").first
        await expect(dialog).to_contain_text("signIn")
        assert await dialog.locator("input:checked").count() == 1  # account:read
        async with page.expect_popup() as opening:
            await dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
        window = await opening.value
        query = parse_qs(urlsplit(unquote(window.url)).query)
        assert query["code_challenge_method"] == ["S256"]
        await window.get_by_label("E-mail address").fill(person.email)
        await window.get_by_label("Password").fill(person.password)
        async with page.expect_response("**/oauth/token") as exchanging, window.expect_event("close"):
            await window.get_by_role("button", name="Sign in").click()
        token = await (await exchanging.value).json()
        assert token["scope"] == "account:read"
        await expect(dialog.get_by_role("button", name="Remove authorization")).to_be_visible()
        await dialog.get_by_role("button", name="Close").click()
        operation = page.locator(".opblock-get", has=page.locator('[data-path="/api/v1/users/me"]'))
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_role("button", name="Try it out").click()
        async with page.expect_response("**/api/v1/users/me") as asking:
            await operation.get_by_role("button", name="Execute").click()
        answer = await asking.value
        assert (await answer.request.all_headers())["authorization"] == f"Bearer {token['access_token']}"
        assert (answer.status, (await answer.json())["email"]) == (200, person.email)
        await expect(operation.locator(".live-responses-table .response .response-col_status")).to_have_text("200")
        await page.reload()
        await expect(page.locator(".opblock").first).to_be_visible()
        assert await page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
