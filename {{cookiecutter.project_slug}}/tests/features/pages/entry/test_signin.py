"""`app/features/pages/entry/signin.py`: signing in and out, and proving once more who one is."""

from typing import Any

import pytest

from app.access.roles import Role
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from tests.conftest import StartService
from tests.support.pages.browser import FORM, Browser, text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
NEW = "nine blue kites over land"


@pytest.mark.asvs("6.3.8")
async def test_nobody_learns_who_has_an_account(service: Service) -> None:
    """Unknown, wrong, disabled and unconfirmed: one page, but for the address that was typed."""
    browser, person, disabled = Browser(service), await service.person(), await service.person()
    _, admin = await service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{disabled.id}"
    assert (await service.client.patch(path, json={"disabled": True}, headers=admin.bearer)).status_code == 200
    body = {"email": "waits@people.example", "password": person.password}
    assert (await service.client.post("/api/v1/accounts", json=body)).status_code == 202
    pages = []
    for email, password in (
        ("unknown@people.example", person.password),
        ("no address", person.password),
        (person.email, "wrong"),
        (disabled.email, disabled.password),
        (body["email"], body["password"]),
    ):
        answer = await browser.post("/login", email=email, password=password)
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers
        pages.append(answer.text.replace(email, "…"))
    assert "The e-mail address or the password is wrong." in pages[0]
    assert len(set(pages)) == 1


@pytest.mark.asvs("7.2.4")
async def test_whoever_signs_in_as_somebody_else_is_no_longer_the_first(service: Service) -> None:
    """The session before it ends, not only its cookie; a failed try ends nothing."""
    browser, first, second = Browser(service), await service.person(), await service.person()
    await browser.sign_in(first)
    before = str(browser.cookie)
    assert (await browser.post("/login", email=second.email, password="wrong")).status_code == 401
    assert (await browser.get(ME)).json()["email"] == first.email
    await browser.sign_in(second)
    assert (await browser.get(ME)).json()["email"] == second.email
    thief = Browser(service)
    thief.cookie = before
    assert (await thief.get(ME, headers={"Accept": "*/*"})).status_code == 401


async def test_whoever_is_signed_in_goes_on(service: Service) -> None:
    """The form to sign in, and the one to register, are for others."""
    browser = Browser(service)
    await browser.sign_in(await service.person())
    assert (await browser.get("/login?next=/")).headers["Location"] == "/"
    assert (await browser.get("/register")).headers["Location"] == "/account"


@pytest.mark.asvs("3.5.3", "7.4.4")
async def test_a_link_signs_nobody_out(service: Service) -> None:
    """It asks; the way out is on every page of whoever is signed in."""
    browser, person = Browser(service), await service.person()
    assert (await browser.get("/logout")).headers["Location"] == "/login"
    await browser.sign_in(person)
    page = await browser.get("/logout")
    assert person.email in page.text
    assert (await browser.get(ME)).status_code == 200
    for path in ("/", "/confirm"):
        assert '<a href="/logout"' in (await browser.get(path)).text
    assert (await browser.post("/logout")).headers["Location"] == "/login"
    assert (await browser.post("/logout")).headers["Location"] == "/login"


@pytest.mark.asvs("7.5.1", "7.5.3")
async def test_a_wrong_password_confirms_nothing(service: Service) -> None:
    """It is said beside the field, and the cookie stays as it was."""
    browser, person = Browser(service), await service.person()
    await browser.sign_in(person)
    before = browser.cookie
    answer = await browser.post("/confirm", password="wrong", next="/account/email")
    assert answer.status_code == 403
    assert "The current password is wrong." in text_of(answer)
    assert 'name="next" value="/account/email"' in answer.text
    assert browser.cookie == before
    right = await browser.post("/confirm", password=person.password, next="/account/email")
    assert right.headers["Location"] == "/account/email"


async def test_confirming_a_session_that_has_ended_meanwhile(service: Service) -> None:
    """Leads to the form to sign in."""
    browser, person = Browser(service), await service.person()
    await browser.sign_in(person)
    tokens = await service.sign_in(person)
    assert (await service.client.delete("/api/v1/sessions", headers=tokens.bearer)).status_code in {200, 204}
    answer = await browser.post("/confirm", password=person.password)
    assert answer.headers["Location"].startswith("/login")


async def test_nobody_is_invited_to_register_where_nobody_can(start: StartService) -> None:
    """The link is there where the form is."""
    async with start(registration="open") as service:
        assert 'href="/register"' in (await Browser(service).get("/login")).text
    async with start(registration="closed") as service:
        for path in ("/login", "/verify"):
            assert 'href="/register"' not in (await Browser(service).get(path)).text


LOST = "your browser has not kept the cookie"


async def test_a_browser_that_keeps_no_cookie_is_told(service: Service) -> None:
    """It is led back to the form that it comes from; the words are the same whoever signs in."""
    browser, person = Browser(service), await service.person()
    came_from = {"Referer": "https://service.example/login"}
    for origin in ("https://service.example", "http://service.example"):
        answer = await browser.client.post(
            f"{origin}/login", data={"email": person.email, "password": person.password}, headers=FORM
        )
        browser.client.cookies.clear()
        account = await browser.get(f"{origin}{answer.headers['Location']}", headers=came_from)
        assert account.headers["Location"] == "/login?next=/account"
        page = await browser.get(f"{origin}/login?next=/account", headers=came_from)
        assert page.status_code == 200
        assert LOST in text_of(page)
    assert LOST in text_of(await browser.get("http://service.example/login?next=/account"))


async def test_others_are_not_told_about_cookies(service: Service) -> None:
    """Not on the way in over HTTPS, from elsewhere, after a mistake or a second step, or with a cookie that is over."""
    browser, person = Browser(service), await service.person()
    path = "/login?next=/account"
    for referer in (
        "",
        "https://service.example/",
        "https://evil.example/login",
        "https://service.example/login/x",
        "//[",
    ):
        assert LOST not in text_of(await browser.get(path, headers={"Referer": referer}))
    came_from = {"Referer": "https://service.example/login"}
    assert LOST not in text_of(await browser.get("/login", headers=came_from))
    assert LOST not in text_of(await browser.post("/login", email=person.email, password="wrong"))
    assert LOST not in text_of(await browser.get("/login?next=/account&done=signin-ended", headers=came_from))
    browser.cookie = "x" * 43
    assert LOST not in text_of(await browser.get(path, headers=came_from))


@pytest.mark.asvs("7.2.4", "7.5.3")
async def test_a_password_that_is_changed_while_it_is_checked_confirms_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a copy of the cookie, and the old password, does not displace the owner, who has just set a new one."""
    person, owner = await with_browser(service)
    thief, require = Browser(service), PasswordConfirmation.require
    thief.cookie = owner.cookie or ""

    async def slowly(self: PasswordConfirmation, *arguments: Any) -> Any:
        confirmed = await require(self, *arguments)
        monkeypatch.undo()
        changed = await owner.post("/account/password", current_password=person.password, new_password=NEW)
        assert changed.headers["Location"] == "/account?done=password"
        return confirmed

    monkeypatch.setattr(PasswordConfirmation, "require", slowly)
    answer = await thief.post("/confirm", password=person.password)
    assert answer.status_code == 409
    assert "Set-Cookie" not in answer.headers
    assert [(await each.get(ME, headers={"Accept": "*/*"})).status_code for each in (owner, thief)] == [200, 401]
