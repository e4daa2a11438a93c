"""What a page of another origin can do to this service, in Chromium: nothing.

The other origin is a server of the test's own. On another port of the same address it is another origin of the same
site, so that Chromium sends the session cookie along (`SameSite` does not stop it): the cross-origin check alone does.
Under another name it is another site, which has no cookie to send, and could still sign a visitor in as somebody else.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Response

from tests.support.pages.chromium import visiting
from tests.support.pages.other_origin import CROSS_SITE, SAME_SITE, OtherOrigin, serving
from tests.support.pages.site import Site, sign_in
from tests.support.service import Person

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database, pytest.mark.asvs("3.5.1")]

NAMES = pytest.mark.parametrize("name", [SAME_SITE, CROSS_SITE])


@pytest.fixture(scope="module")
def attacker() -> Iterator[OtherOrigin]:
    """A second origin."""
    with serving() as running:
        yield running


async def cookie_of(page: Page) -> str | None:
    """The value of the session cookie."""
    return next(
        (cookie["value"] for cookie in await page.context.cookies() if cookie["name"] == "__Host-session"), None
    )


async def attack(page: Page, attacker: OtherOrigin, name: str, content: str, url: str) -> Response:
    """Open the page of the other origin, and wait for what the service answers to what it does."""
    attacker.page = content
    async with page.expect_response(url) as answer:
        await page.goto(f"http://{name}:{attacker.port}/")
    return await answer.value


async def state_of(page: Page, site: Site) -> Any:
    """Who is signed in, and everything that could be changed about them."""
    answers = [await page.request.get(f"{site.url}/api/v1{path}") for path in ("/users/me", "/sessions")]
    assert [answer.status for answer in answers] == [200, 200]
    me, sessions = [await answer.json() for answer in answers]
    return me, sorted(session["id"] for session in sessions["items"])


FORMS: list[tuple[str, dict[str, str]]] = [
    ("/login", {"email": "eve@people.example", "password": "x"}),
    ("/logout", {}),
    ("/confirm", {"password": "x"}),
    ("/register", {"email": "eve@people.example", "password": "seven unlikely words stand in this row"}),
    ("/forgot", {"email": "eve@people.example"}),
    ("/api/v1/signin", {"email": "eve@people.example", "password": "x"}),
]


@NAMES
async def test_a_form_that_sends_itself(chromium: Browser, site: Site, attacker: OtherOrigin, name: str) -> None:
    """Every form is refused; the visitor stays signed in, as themselves, and nothing has changed."""
    person = await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person)) as (page, watch):
        before, cookie = await state_of(page, site), await cookie_of(page)
        for path, fields in FORMS:
            url = f"{site.url}{path}"
            answer = await attack(page, attacker, name, attacker.posts(url, fields), url)
            sent = await answer.request.all_headers()
            assert sent["sec-fetch-site"] == ("same-site" if name == SAME_SITE else "cross-site")
            # Otherwise this test would show what `SameSite` does, not what the service does.
            assert ("__Host-session" in sent.get("cookie", "")) is (name == SAME_SITE)
            assert answer.status == _refusal(path, name), path
            assert "set-cookie" not in await answer.all_headers()
            assert "clear-site-data" not in await answer.all_headers()
        assert await state_of(page, site) == before
        assert await cookie_of(page) == cookie
        watch.problems.clear()


def _refusal(path: str, name: str) -> int | Any:
    """Forbidden; but without a cookie, a call of the API is nobody's, and no JSON."""
    if path.startswith("/api/") and name == CROSS_SITE:
        return 415
    # Who has no session is sent to sign in, before the form is looked at.
    return 303 if path == "/confirm" and name == CROSS_SITE else 403


@NAMES
async def test_signing_a_visitor_in_as_somebody_else(
    chromium: Browser, site: Site, attacker: OtherOrigin, name: str
) -> None:
    """With the right password of the attacker's own account, and no session before: refused all the same."""
    eve = await site.person()
    async with visiting(chromium, site.url) as (page, watch):
        url = f"{site.url}/login"
        form = attacker.posts(url, {"email": eve.email, "password": eve.password})
        answer = await attack(page, attacker, name, form, url)
        assert answer.status == 403
        assert await cookie_of(page) is None
        watch.problems.clear()


@pytest.mark.asvs("3.5.2", "3.4.2")
@NAMES
async def test_a_call_with_credentials(chromium: Browser, site: Site, attacker: OtherOrigin, name: str) -> None:
    """Whatever type and method a script asks for, with the cookie: nothing is done, and it can read no answer."""
    person = await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person)) as (page, watch):
        before = await state_of(page, site)
        calls = [
            ("GET", "/api/v1/users/me", None, None),
            ("POST", "/logout", "application/x-www-form-urlencoded", ""),
            ("POST", "/api/v1/users/me/password", "text/plain", "{}"),
            ("PATCH", "/api/v1/users/me", "application/json", '{"display_name": "Eve"}'),
            ("DELETE", "/api/v1/sessions", None, None),
            ("DELETE", "/api/v1/users/me", "application/json", json.dumps({"current_password": person.password})),
        ]
        attacker.page = ""
        await page.goto(f"http://{name}:{attacker.port}/")
        for method, path, kind, body in calls:
            for mode in ("cors", "no-cors"):
                headers = {"Content-Type": kind} if kind else {}
                options = {"method": method, "mode": mode, "credentials": "include", "body": body, "headers": headers}
                outcome = await page.evaluate(
                    "([url, options]) => fetch(url, options).then(answer => answer.type, () => 'refused')",
                    [f"{site.url}{path}", options],
                )
                # Opaque: it was sent, and nothing of the answer can be read.
                assert outcome in {"refused", "opaque"}, (method, path, mode)
        assert await state_of(page, site) == before
        watch.problems.clear()


@pytest.mark.asvs("3.4.6")
@NAMES
async def test_no_page_is_framed(chromium: Browser, site: Site, attacker: OtherOrigin, name: str) -> None:
    """Chromium shows nothing of it: neither a page, nor an error, nor an answer of the API."""
    person = await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person)) as (page, watch):
        for path in ("/login", "/logout", "/nothing", "/api/v1/users/me"):
            attacker.page = f'<iframe src="{site.url}{path}"></iframe>'
            await page.goto(f"http://{name}:{attacker.port}/")
            (frame,) = page.main_frame.child_frames
            await frame.wait_for_load_state()
            assert frame.url.startswith("chrome-error://"), path
            assert person.email not in await frame.content()
            assert any("frame-ancestors" in problem for problem in watch.problems)
            watch.problems.clear()


@pytest.mark.asvs("3.2.1")
@NAMES
async def test_no_answer_is_part_of_another_page(
    chromium: Browser, site: Site, attacker: OtherOrigin, name: str
) -> None:
    """Neither as an image, nor as a script, nor as a style: Chromium hands nothing of it over, whatever it is."""
    person = await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person)) as (page, watch):
        await page.goto("/login")
        logo = str(await page.locator("img").first.get_attribute("src"))
        watch.problems.clear()
        for path in (logo, "/login", "/api/v1/users/me", "/nothing"):
            url = f"{site.url}{path}"
            attacker.page = f'<img src="{url}"><script src="{url}"></script><link rel="stylesheet" href="{url}">'
            await page.goto(f"http://{name}:{attacker.port}/", wait_until="load")
            blocked = [problem for problem in watch.problems if problem.startswith(f"failed: {url}")]
            assert len(blocked) == 3, (path, watch.problems)
            assert all("BLOCKED_BY" in problem for problem in blocked)
            watch.problems.clear()


@pytest.mark.asvs("3.2.1")
@NAMES
async def test_no_page_can_be_held_by_another(chromium: Browser, site: Site, attacker: OtherOrigin, name: str) -> None:
    """Whoever opens a page of ours in a window has no hold of it: neither of where it is nor of what it does."""
    async with visiting(chromium, site.url) as (page, watch):
        attacker.page = f"<button onclick=\"window.held = window.open('{site.url}/login')\">Win a prize</button>"
        await page.goto(f"http://{name}:{attacker.port}/")
        async with page.context.expect_page() as window:
            await page.get_by_role("button").click()
        opened = await window.value
        await opened.wait_for_url(f"{site.url}/login")
        assert await page.evaluate("window.held.closed") is True
        assert await opened.evaluate("window.opener") is None
        watch.problems.clear()


@pytest.mark.asvs("3.5.3")
@NAMES
async def test_what_a_link_can_do(chromium: Browser, site: Site, attacker: OtherOrigin, name: str) -> None:
    """It opens a page, for whoever is signed in too, and changes nothing: signing out still takes a click."""
    person = await site.person()
    async with visiting(chromium, site.url, storage_state=await site.signed_in(person)) as (page, watch):
        attacker.page = f'<a href="{site.url}/logout">Win a prize</a>'
        await page.goto(f"http://{name}:{attacker.port}/")
        await page.get_by_role("link").click()
        await page.wait_for_url(f"{site.url}/logout")
        assert person.email in await page.content()
        me, _ = await state_of(page, site)
        assert me["email"] == person.email
        watch.problems.clear()


async def test_our_own_form_is_taken(chromium: Browser, site: Site) -> None:
    """The same requests from our own page are: the refusals above are for where they come from."""
    person: Person = await site.person()
    async with visiting(chromium, site.url) as (page, _):
        async with page.expect_response(f"{site.url}/login") as answer:
            await sign_in(page, person)
        assert (await answer.value).status in {200, 303}
        assert await cookie_of(page) is not None
