"""The pages of my API keys."""

import re

import pytest
from markupsafe import escape
from playwright.async_api import Browser as Chromium, expect

from app.access.roles import Role
from tests.conftest import StartService
from tests.features.api_keys.steps import opens
from tests.support.api.oauth import register_machine
from tests.support.pages.browser import Browser, shows_again, text_of, with_browser
from tests.support.pages.chromium import flaws, visiting
from tests.support.pages.counterparts import compare
from tests.support.pages.site import Site
from tests.support.records.mail import Mailbox, bodies
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PATH, ALL = "/account/api-keys", "/admin/api-keys"


def key_in(page: str) -> str:
    """The key that a page shows."""
    (key,) = re.findall(r"\bak_[0-9a-f]{104}\b", page)
    return str(key)


async def ids(browser: Browser) -> list[str]:
    """The keys that the page shows, newest first."""
    return re.findall(rf'action="{PATH}/([0-9a-f-]{{36}})/revoke"', (await browser.get(PATH)).text)


async def make(browser: Browser, **fields: str) -> str:
    """Make a key with the form."""
    answer = await browser.post(f"{PATH}/new", **({"name": "backup", "scope_account_read": "on"} | fields))
    assert answer.status_code == 200, text_of(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    return key_in(answer.text)


@pytest.mark.asvs("14.3.2")
async def test_makes_replaces_and_ends_a_key(service: Service, mailbox: Mailbox) -> None:
    """Each key is shown once, by the answer to its form; the list has hints; the mail leads to the page."""
    person, browser = await with_browser(service)
    key = await make(browser, networks="127.0.0.0/8  192.0.2.7", expires_in_days="7")
    assert await opens(service, key) == 200
    (first,) = await ids(browser)
    replaced = await browser.post(f"{PATH}/{first}/rotate")
    new = key_in(replaced.text)
    assert "works for 24 more hours" in text_of(replaced)
    page = await browser.get(PATH)
    assert new not in page.text
    assert f"ak_…{new[-4:]}" in page.text
    assert "127.0.0.0/8, 192.0.2.7/32" in text_of(page)
    for key_id in await ids(browser):
        answer = await browser.post(f"{PATH}/{key_id}/revoke")
        assert answer.headers["Location"] == f"{PATH}?done=api-key-revoked"
    assert "You have no API key." in text_of(await browser.get(PATH))
    assert [await opens(service, each) for each in (key, new)] == [401, 401]
    for mail in await mailbox.wait(person.email, 2):
        assert all(f"https://service.example{PATH}" in body for body in bodies(mail))


async def test_shows_a_form_again_that_breaks_a_rule(start: StartService) -> None:
    """With what was typed: no scope, a network that is none, too many days, one key too many."""
    async with start(items_per_user=1) as service:
        _, browser = await with_browser(service)
        form = {"name": "my program", "scope_account_read": "on"}
        for wrong, said in (
            ({"name": "my program"}, "Choose at least one."),
            (form | {"networks": "nowhere"}, "look at the fields"),
            (form | {"expires_in_days": "366"}, "look at the fields"),
            (form | {"scope_users_read": "on"}, "no such field"),
        ):
            answer = await browser.post(f"{PATH}/new", **wrong)
            assert answer.status_code == 422
            assert said in text_of(answer), said
            assert 'value="my program"' in answer.text
        await make(browser)
        answer = await browser.post(f"{PATH}/new", **form)
        assert answer.status_code == 409
        assert "no more are allowed" in text_of(answer)


@pytest.mark.asvs("7.2.2")
async def test_a_key_is_no_cookie_and_opens_no_page(service: Service) -> None:
    """Neither in the place of the session cookie, nor in the header of a page: its policy would let it in."""
    _, browser = await with_browser(service)
    key = await make(browser)
    service.client.cookies.clear()
    cookie, header = {"Cookie": f"__Host-session={key}"}, {"Authorization": f"Bearer {key}"}
    assert (await service.client.get("/api/v1/users/me", headers=cookie)).status_code == 401
    for headers in (cookie, header):
        answer = await service.client.get(PATH, headers=headers)
        assert answer.status_code in {303, 401}
        assert "API keys" not in text_of(answer)


@pytest.mark.asvs("8.2.2", "1.2.1")
async def test_keys_of_others_are_not_there_and_names_are_text(service: Service) -> None:
    """404 for an administrator too; a hostile name is escaped."""
    _, browser = await with_browser(service)
    hostile = '<script>alert("1")</script>'
    key = await make(browser, name=hostile)
    page = await browser.get(PATH)
    assert "<script" not in page.text
    assert str(escape(hostile)) in page.text
    (key_id,) = await ids(browser)
    _, attacker = await with_browser(service, Role.ADMIN)
    for action in ("rotate", "revoke"):
        assert (await attacker.post(f"{PATH}/{key_id}/{action}")).status_code == 404
    assert await opens(service, key) == 200


@pytest.mark.asvs("8.2.1", "14.3.2")
async def test_administrators_make_keys_of_service_accounts_and_end_any(service: Service, mailbox: Mailbox) -> None:
    """Each key is shown once; those of people can be ended and not replaced; the mail leads to the page."""
    _, owner = await with_browser(service)
    theirs = await make(owner)
    person, browser = await with_browser(service, Role.ADMIN)
    assert "no service account" in text_of(await browser.get(f"{ALL}/new"))
    machine = await register_machine(service, Role.AUDITOR, scope="users:read", name="Nightly job")
    assert "Nightly job" in text_of(await browser.get(f"{ALL}/new"))
    form = {"name": "nightly", "scope_users_read": "on", "requests_per_minute": "9"}
    for wrong in (form, form | {"user_id": "nobody"}):
        answer = await browser.post(f"{ALL}/new", **wrong)
        assert (answer.status_code, 'aria-describedby="user_id-help"' in answer.text) == (422, True)
    user_id = str(machine.client.user_id)
    key = key_in((await browser.post(f"{ALL}/new", **form, user_id=user_id)).text)
    (mail,) = await mailbox.wait(person.email)
    assert all(f"https://service.example{ALL}" in body for body in bodies(mail))
    page = await browser.get(ALL)
    assert "9 a minute" in text_of(page)
    assert (await browser.get(ALL, params={"q": machine.client.client_id})).text.count("</strong> <code>ak_") == 1
    (replace,) = re.findall(rf'action="({ALL}/[0-9a-f/-]+/rotate)"', page.text)
    new = key_in((await browser.post(replace)).text)
    assert [await opens(service, each) for each in (theirs, key, new)] == [200, 403, 403]
    for path in re.findall(rf'action="({ALL}/[0-9a-f/-]+/revoke)"', (await browser.get(ALL)).text):
        assert (await browser.post(path)).headers["Location"] == f"{ALL}?done=api-key-revoked"
    assert "There is no API key." in text_of(await browser.get(ALL))
    assert [await opens(service, each) for each in (theirs, key, new)] == [401, 401, 401]
    assert ALL not in (await owner.get("/account")).text
    assert (await owner.get(ALL)).status_code == 403


@pytest.mark.asvs("8.2.1")
async def test_administrators_find_keys_by_name_and_owner(service: Service) -> None:
    """In any case, a part of the name or of the address; the box keeps the text, and the next part the search."""
    (ann, owner), (_, other) = await with_browser(service), await with_browser(service)
    await make(owner, name="Backup")
    await make(other, name="Reports")
    _, browser = await with_browser(service, Role.ADMIN)
    for text, names in (("BACK", ["Backup"]), (ann.email.upper(), ["Backup"]), ("%", []), ("", ["Reports", "Backup"])):
        page = await browser.get(ALL, params={"q": text})
        assert re.findall(r"<strong><bdi>([^<]+)</bdi></strong> <code>", page.text) == names
        assert f'value="{text}"' in page.text
    assert "No key was found." in text_of(await browser.get(ALL, params={"q": "nobody"}))
    for wrong in ({"q": "x" * 101}, {"cursor": "x"}, {"user_id": "x"}):
        shows_again(await browser.get(ALL, params=wrong), 422)


async def test_in_a_browser(chromium: Chromium, site: Site) -> None:
    """Made, replaced and ended; nothing hinders anybody, and nothing is cut off."""
    session = await site.signed_in(await site.person())
    async with visiting(chromium, site.url, storage_state=session) as (page, _):
        await page.goto(f"{PATH}/new")
        assert await flaws(page) == []
        await page.get_by_role("textbox", name="Name").fill("A name that is long " * 4)
        await page.get_by_label("account:read").check()
        await page.get_by_role("button", name="Make the key").click()
        await expect(page.get_by_label("API key", exact=True)).to_contain_text("ak_")
        assert await flaws(page) == []
        await page.goto(PATH)
        await page.get_by_text("End", exact=True).click()
        assert await flaws(page) == []
        await page.get_by_role("button", name="End the key for good").click()
        await expect(page.get_by_text("You have no API key.")).to_be_visible()
    session = await site.signed_in(await site.person(Role.ADMIN))
    async with visiting(chromium, site.url, storage_state=session) as (page, _):
        for path in (ALL, f"{ALL}/new"):
            await page.goto(path)
            assert await flaws(page) == []
            await expect(page.locator('nav [aria-current="page"]')).to_have_text("API keys")


@pytest.mark.asvs("7.5.3", "8.2.1")
async def test_no_page_asks_for_less_than_the_api(service: Service) -> None:
    """The policy of each is the one of the API's route, or stricter."""
    keys = "/api/v1/api-keys"
    others = "/api/v1/users/{owner_id}/api-keys"
    counterparts = {
        f"GET {PATH}": f"GET {keys}",
        f"GET {PATH}/new": f"POST {keys}",
        f"POST {PATH}/new": f"POST {keys}",
        f"POST {PATH}/{{key_id}}/rotate": f"POST {keys}/{{key_id}}/rotate",
        f"POST {PATH}/{{key_id}}/revoke": f"DELETE {keys}/{{key_id}}",
        f"GET {ALL}": f"GET {keys}/all",
        f"GET {ALL}/new": f"POST {others}",
        f"POST {ALL}/new": f"POST {others}",
        f"POST {ALL}/{{user_id}}/{{key_id}}/rotate": f"POST {others}/{{owner_key_id}}/rotate",
        f"POST {ALL}/{{user_id}}/{{key_id}}/revoke": f"DELETE {others}/{{owner_key_id}}",
    }
    assert compare(service.app, "api_keys_pages", counterparts) == ([], [])
