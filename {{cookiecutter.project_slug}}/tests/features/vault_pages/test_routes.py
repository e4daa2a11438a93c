"""The page of my vault."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from markupsafe import escape
from playwright.async_api import Browser as Chromium, expect

from app.access.roles import Role
from app.features.vault.schemas import LONGEST_STRING
from tests.conftest import StartService
from tests.features.vault.steps import MASK, canary, kept
from tests.support.pages.browser import Browser, shows_again, text_of, with_browser
from tests.support.pages.chromium import flaws, visiting
from tests.support.pages.counterparts import compare
from tests.support.pages.site import Site
from tests.support.records.trail import actions
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PATH = "/account/vault"


async def secret_ids(browser: Browser) -> list[str]:
    """The secrets that the page shows, newest first."""
    return re.findall(rf'action="{PATH}/([0-9a-f-]{{36}})/reveal"', (await browser.get(PATH)).text)


async def add(browser: Browser, name: str, text: str) -> str:
    """Keep a secret with the form: its id."""
    answer = await browser.post(f"{PATH}/new", name=name, secret_string=text)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PATH}?done=secret-added")
    return (await secret_ids(browser))[0]


@pytest.mark.asvs("14.2.6", "14.3.2")
async def test_shows_a_secret_once_and_on_record(service: Service) -> None:
    """The list is masked; the answer to the form has the value, is kept nowhere, and is an event."""
    _, browser = await with_browser(service)
    value = canary()
    secret = await add(browser, "Bank", value)
    listed = await browser.get(PATH)
    assert value not in listed.text
    assert MASK in text_of(listed)
    answer = await browser.post(f"{PATH}/{secret}/reveal")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert value in text_of(answer)
    assert (await actions(service)).count("secret_revealed") == 1
    assert (await browser.get(f"{PATH}/{secret}/reveal")).status_code == 405


async def test_shows_data_as_base64(service: Service) -> None:
    """What a program has put there can be seen too."""
    person, browser = await with_browser(service)
    await kept(service, await service.sign_in(person), secret_string=None, secret_bytes="AAEC")
    (secret,) = await secret_ids(browser)
    assert "AAEC" in text_of(await browser.post(f"{PATH}/{secret}/reveal"))


async def test_lines_end_with_a_line_feed(service: Service) -> None:
    """A form sends CR LF, and a key in PEM has neither."""
    _, browser = await with_browser(service)
    secret = await add(browser, "Key", "one\r\ntwo\rthree")
    assert "one\ntwo\rthree</code>" in (await browser.post(f"{PATH}/{secret}/reveal")).text


async def test_the_longest_secret_fits(service: Service) -> None:
    """A form writes each character as up to twelve."""
    _, browser = await with_browser(service)
    value = "🗝" * LONGEST_STRING
    secret = await add(browser, "🏦" * 100, value)
    assert value in (await browser.post(f"{PATH}/{secret}/reveal")).text


@pytest.mark.asvs("8.2.2")
async def test_secrets_of_others_are_not_there(service: Service) -> None:
    """404 for an administrator too; nothing is shown, and nothing is gone."""
    _, browser = await with_browser(service)
    value = canary()
    secret = await add(browser, "Bank", value)
    _, attacker = await with_browser(service, Role.ADMIN)
    assert await secret_ids(attacker) == []
    for action in ("reveal", "delete"):
        answer = await attacker.post(f"{PATH}/{secret}/{action}")
        assert answer.status_code == 404
        assert value not in answer.text
    assert await secret_ids(browser) == [secret]
    assert "secret_revealed" not in await actions(service)


async def test_deletes_a_secret(service: Service) -> None:
    """It is gone, and a second time there is nothing to delete."""
    _, browser = await with_browser(service)
    secret = await add(browser, "Bank", "a value")
    assert (await browser.post(f"{PATH}/{secret}/delete")).headers["Location"] == f"{PATH}?done=secret-deleted"
    assert "There is nothing in it yet." in text_of(await browser.get(PATH))
    assert (await browser.post(f"{PATH}/{secret}/delete")).status_code == 404


async def test_keeps_the_name_that_was_typed_and_never_the_secret(service: Service) -> None:
    """Where something is wrong with either."""
    _, browser = await with_browser(service)
    value = canary()
    answer = await browser.post(f"{PATH}/new", name="x" * 101, secret_string=value)
    shows_again(answer, 422, value)
    assert "x" * 101 in answer.text
    answer = await browser.post(f"{PATH}/new", name="Bank", secret_string=value + "x" * 10_000)
    shows_again(answer, 422, value)
    assert 'value="Bank"' in answer.text
    assert "Use at most 10000 characters." in text_of(answer)
    assert await secret_ids(browser) == []


async def test_says_that_the_vault_is_full(start: StartService) -> None:
    """On the form, which has what was typed but for the secret."""
    async with start(items_per_user=1) as service:
        _, browser = await with_browser(service)
        await add(browser, "One", "a value")
        answer = await browser.post(f"{PATH}/new", name="Two", secret_string="another value")
        shows_again(answer, 409, "another value")
        assert "no more are allowed" in text_of(answer)


@pytest.mark.asvs("1.2.1")
async def test_hostile_names_and_values_are_text(service: Service) -> None:
    """Both are escaped on every page that shows them."""
    _, browser = await with_browser(service)
    hostile = '</code><script>alert("1")</script>'
    secret = await add(browser, hostile, hostile)
    for answer in (await browser.get(PATH), await browser.post(f"{PATH}/{secret}/reveal")):
        assert "<script" not in answer.text
        assert str(escape(hostile)) in answer.text


@pytest.mark.asvs("7.5.3")
async def test_an_old_sign_in_sees_nothing(start: StartService) -> None:
    """It is asked for the password, and comes back to the vault."""
    with time_machine.travel(datetime(2026, 7, 1, tzinfo=UTC), tick=True) as clock:
        async with start() as service:
            person, browser = await with_browser(service)
            value = canary()
            secret = await add(browser, "Bank", value)
            clock.shift(timedelta(minutes=16))
            headers = {"Sec-Fetch-Site": "same-origin", "Referer": f"https://service.example{PATH}"}
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            answer = await browser.client.post(f"{PATH}/{secret}/reveal", headers=headers)
            assert answer.headers["Location"] == f"/confirm?next={PATH}"
            assert value not in answer.text
            await browser.post("/confirm", password=person.password, next=PATH)
            assert value in text_of(await browser.post(f"{PATH}/{secret}/reveal"))


async def test_in_a_browser(chromium: Chromium, site: Site) -> None:
    """Added, shown and deleted; nothing hinders anybody, and nothing is cut off."""
    session = await site.signed_in(await site.person())
    async with visiting(chromium, site.url, storage_state=session) as (page, _):
        await page.goto(f"{PATH}/new")
        assert await flaws(page) == []
        await page.get_by_label("Name").fill("A name that is long " * 4)
        await page.get_by_label("Secret", exact=True).fill("x" * 500)
        await page.get_by_role("button", name="Keep it").click()
        await expect(page.get_by_role("status")).to_have_text("The secret is in your vault.")
        assert await flaws(page) == []
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_text("x" * 500)).to_be_visible()
        assert await flaws(page) == []
        await page.goto(PATH)
        await page.get_by_text("Delete", exact=True).click()
        assert await flaws(page) == []
        await page.get_by_role("button", name="Delete for good").click()
        await expect(page.get_by_text("There is nothing in it yet.")).to_be_visible()


@pytest.mark.asvs("7.5.3", "8.2.1")
async def test_no_page_asks_for_less_than_the_api(service: Service) -> None:
    """The policy of each is the one of the API's route, or stricter."""
    secrets = "/api/v1/secrets"
    counterparts = {
        f"GET {PATH}": f"GET {secrets}",
        f"GET {PATH}/new": f"POST {secrets}",
        f"POST {PATH}/new": f"POST {secrets}",
        f"POST {PATH}/{{secret_id}}/delete": f"DELETE {secrets}/{{secret_id}}",
        f"POST {PATH}/{{secret_id}}/reveal": f"POST {secrets}/{{secret_id}}/reveal",
    }
    assert compare(service.app, "vault_pages", counterparts) == ([], [])
