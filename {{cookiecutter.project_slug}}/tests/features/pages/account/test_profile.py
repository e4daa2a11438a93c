"""The pages of the account: name, password, address, deletion."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import time_machine
from markupsafe import escape

from app.access.roles import Role
from tests.conftest import PUBLIC_URL, StartService
from tests.support.pages.browser import Browser, shows_again, text_of, with_browser
from tests.support.records.mail import Mailbox, bodies
from tests.support.service import Service

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
NEW_PASSWORD = "another long pass phrase 7"
HOSTILE = '"><script>alert(1)</script>'


async def me(browser: Browser) -> httpx2.Response:
    """Who the browser is, as the API says it."""
    return await browser.get(ME, headers={"Accept": "*/*"})


async def test_shows_what_the_account_says(service: Service) -> None:
    """Address, roles and when it began; not what only a database needs."""
    person, browser = await with_browser(service)
    answer = await browser.get("/account")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    text = text_of(answer)
    assert person.email in text
    assert "Roles member" in text
    assert "argon2" not in answer.text


async def test_changes_the_name(service: Service) -> None:
    """And takes it away where the field is left empty."""
    _, browser = await with_browser(service)
    answer = await browser.post("/account/profile", display_name="Ann Example")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account?done=profile")
    assert "Your name has been changed." in text_of(await browser.get(answer.headers["Location"]))
    assert (await me(browser)).json()["display_name"] == "Ann Example"
    assert 'value="Ann Example"' in (await browser.get("/account")).text
    await browser.post("/account/profile", display_name="")
    assert (await me(browser)).json()["display_name"] is None


@pytest.mark.asvs("1.2.1", "3.2.2")
@pytest.mark.parametrize("name", [HOSTILE, "'\"&<b>", "{{ 7 * 7 }}"])
async def test_a_hostile_name_is_text(service: Service, name: str) -> None:
    """Whatever somebody is called, it is never markup: on their own page, and on those of administrators."""
    person, browser = await with_browser(service)
    _, admin = await with_browser(service, Role.ADMIN)
    assert (await browser.post("/account/profile", display_name=name)).status_code == 303
    for reader, path in ((browser, "/account"), (admin, "/admin/users"), (admin, f"/admin/users/{person.id}")):
        answer = await reader.get(path)
        assert "<script" not in answer.text
        assert str(escape(name)) in answer.text


@pytest.mark.parametrize("name", ["x" * 3_000, "a\u202eb", "a\x1bb", "  "])
async def test_a_refused_name_is_shown_again_and_bounded(service: Service, name: str) -> None:
    """What was typed is kept, as far as a page can bear it."""
    _, browser = await with_browser(service)
    answer = await browser.post("/account/profile", display_name=name)
    shows_again(answer, 422)
    assert 'aria-invalid="true"' in answer.text
    assert len(answer.text) < 12_000
    assert (await me(browser)).json()["display_name"] is None


@pytest.mark.asvs("6.2.3", "7.2.4", "7.4.3")
async def test_changes_the_password(service: Service) -> None:
    """Other sessions end, and so does a copy of this one's cookie; the browser goes on with a new id."""
    person, browser = await with_browser(service)
    elsewhere, thief = Browser(service), Browser(service)
    await elsewhere.sign_in(person)
    thief.cookie = str(browser.cookie)
    answer = await browser.post("/account/password", current_password=person.password, new_password=NEW_PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account?done=password")
    assert browser.cookie != thief.cookie
    assert (await me(browser)).status_code == 200
    assert (await me(elsewhere)).status_code == 401
    assert (await me(thief)).status_code == 401
    assert (await service.try_sign_in(person.email, NEW_PASSWORD)).status_code == 200


async def test_says_why_a_password_is_refused_beside_its_field(service: Service) -> None:
    """Too short, common, or the current one wrong: each at its own field, and neither password on the page."""
    person, browser = await with_browser(service)
    wrong = "not the password at all"
    for current, new, status, field, said in (
        (person.password, "short", 422, "new_password", "at least 15"),
        (person.password, "passwordpassword", 422, "new_password", "Take several unrelated words"),
        (wrong, NEW_PASSWORD, 403, "current_password", "The current password is wrong."),
        ("", NEW_PASSWORD, 422, "current_password", "Please fill this in."),
    ):
        answer = await browser.post("/account/password", current_password=current, new_password=new)
        shows_again(answer, status, *filter(None, (person.password, wrong, NEW_PASSWORD, "passwordpassword")))
        assert said in text_of(answer)
        assert f'id="{field}" name="{field}" type="password"' in answer.text.replace("\n ", "")
        assert 'aria-invalid="true"' in answer.text.split(f'id="{field}"')[1].split(">")[0]
    assert (await service.try_sign_in(person.email, person.password)).status_code == 200


async def test_asks_for_another_address(service: Service, mailbox: Mailbox) -> None:
    """The address counts when the mail that goes there comes back; until then nothing has changed."""
    person, browser = await with_browser(service)
    answer = await browser.post("/account/email", new_email="other@people.example", current_password=person.password)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account?done=email")
    assert (await me(browser)).json()["email"] == person.email
    await mailbox.wait("other@people.example")
    await mailbox.wait(person.email)


async def test_keeps_the_address_that_was_typed(service: Service) -> None:
    """Not the password."""
    person, browser = await with_browser(service)
    answer = await browser.post("/account/email", new_email="other@people.example", current_password="not the password")
    shows_again(answer, 403, "not the password")
    assert 'value="other@people.example"' in answer.text
    answer = await browser.post("/account/email", new_email=HOSTILE, current_password=person.password)
    shows_again(answer, 422, person.password, "<script>")


async def test_downloads_what_is_kept(service: Service) -> None:
    """The page gives the file that the API gives, and says what is not in it."""
    person, browser = await with_browser(service)
    assert "Passwords, tokens and keys are not in it" in text_of(await browser.get("/account/data"))
    answer = await browser.post("/account/data")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.json()["account"][0]["email"] == person.email


@pytest.mark.asvs("7.4.2", "14.3.1")
async def test_deletes_the_account(service: Service) -> None:
    """With the password alone; the browser is signed out, and told to forget."""
    person, browser = await with_browser(service)
    refused = await browser.post("/account/delete", current_password="not the password")
    shows_again(refused, 403, "not the password")
    answer = await browser.post("/account/delete", current_password=person.password)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?done=account-deleted")
    assert "Clear-Site-Data" in answer.headers
    assert browser.cookie is None
    assert "Your account has been deleted" in text_of(await browser.get("/?done=account-deleted"))
    assert (await service.try_sign_in(person.email, person.password)).status_code == 401


async def test_the_last_administrator_is_told_why_they_stay(service: Service) -> None:
    """On the page itself."""
    person, browser = await with_browser(service, Role.ADMIN)
    answer = await browser.post("/account/delete", current_password=person.password)
    shows_again(answer, 409, person.password)
    assert "This is the last administrator who can sign in." in text_of(answer)


@pytest.mark.asvs("7.5.1", "7.5.3")
@pytest.mark.parametrize("path", ["/account/password", "/account/email"])
async def test_an_old_sign_in_is_asked_for_the_password_first(start: StartService, path: str) -> None:
    """A quarter of an hour later the page leads to the password and back; a form of before changes nothing."""
    with time_machine.travel(datetime(2026, 7, 1, tzinfo=UTC), tick=True) as clock:
        async with start() as service:
            person, browser = await with_browser(service)
            assert (await browser.get(path)).status_code == 200
            clock.shift(timedelta(minutes=16))
            assert (await browser.get(path)).headers["Location"] == f"/confirm?next={path}"
            answer = await browser.client.post(
                path,
                data={"current_password": person.password, "new_password": NEW_PASSWORD, "new_email": "o@p.example"},
                headers={"Sec-Fetch-Site": "same-origin", "Referer": f"https://service.example{path}"},
            )
            assert answer.headers["Location"] == f"/confirm?next={path}"
            confirmed = await browser.post("/confirm", password=person.password, next=path)
            assert confirmed.headers["Location"] == path
            assert (await browser.get(path)).status_code == 200
            assert (await service.try_sign_in(person.email, person.password)).status_code == 200


async def test_nobody_sees_pages_of_an_account(service: Service) -> None:
    """Whoever is not signed in is led to the sign-in, and from there to where they wanted to go."""
    browser = Browser(service)
    for path in (
        "/account",
        "/account/sessions",
        "/account/password",
        "/account/email",
        "/account/data",
        "/account/delete",
        "/admin",
    ):
        assert (await browser.get(path)).headers["Location"] == f"/login?next={path}"


async def test_a_notice_is_never_the_text_of_somebody_else(service: Service) -> None:
    """An address names a notice, and what nobody defined says nothing."""
    for done in ("hello", "<b>", "text", "PROFILE", ""):
        answer = await Browser(service).get("/", params={"done": done})
        assert 'role="status"' not in answer.text


@pytest.mark.asvs("6.3.7")
async def test_chooses_which_mails_come(service: Service) -> None:
    """A box for each alert, ticked until its owner unticks it; what no box is for is refused."""
    _, browser = await with_browser(service)
    assert (await browser.get("/account")).text.count(" checked>") == 4
    answer = await browser.post("/account/alerts", new_device="on", account_disabled="on")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account?done=alerts")
    assert (await me(browser)).json()["muted_alerts"] == ["new_application", "roles_changed"]
    page = await browser.get("/account")
    assert page.text.count(" checked>") == 2
    assert 'name="new_device" value="on" checked>' in page.text
    shows_again(await browser.post("/account/alerts", password_changed="on"), 422)
    assert (await me(browser)).json()["muted_alerts"] == ["new_application", "roles_changed"]


@pytest.mark.asvs("7.5.1")
async def test_an_old_sign_in_switches_no_mail_off(service: Service) -> None:
    """The password is asked for first."""
    _, browser = await with_browser(service)
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=16)):
        answer = await browser.post("/account/alerts")
        assert answer.headers["Location"].startswith("/confirm?")
        assert (await me(browser)).json()["muted_alerts"] == []


async def test_a_mail_about_a_new_device_leads_to_the_pages(service: Service, mailbox: Mailbox) -> None:
    """To change the password, and to see the sessions; with no token."""
    person, _ = await with_browser(service)
    await service.sign_in(person, headers={"User-Agent": "curl/8.5.0"})
    (message,) = await mailbox.wait(person.email)
    for body in bodies(message):
        assert "curl/8.5.0" in body
        for path in ("/account/password", "/account/sessions"):
            assert f"{PUBLIC_URL}{path}" in body
        assert "#" not in body
