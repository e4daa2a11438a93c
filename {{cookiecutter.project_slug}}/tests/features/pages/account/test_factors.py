"""The pages of second factors, as an attacker and as a user without a script sees them."""

import asyncio
import re
import time
import timeit

import pytest
import segno

from app.access.roles import Role
from app.core.database.database import Database
from app.features.accounts.administration import lock_administrators
from app.features.accounts.mailed.tokens import AccountTokens
from tests.conftest import StartService
from tests.features.factors.steps import App, Enrolled, answer_with, challenged, with_app
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio

SIGNIN = "__Host-signin"


async def first_step(service: Service, enrolled: Enrolled, **fields: str) -> Browser:
    """A browser that has given the password."""
    browser = Browser(service)
    answer = await browser.sign_in(enrolled.person, **fields)
    assert (answer.status_code, answer.headers["Location"][:13]) == (303, "/login/factor")
    assert browser.cookie is None
    return browser


@pytest.mark.asvs("3.3.1", "3.3.4", "6.6.2")
async def test_a_challenge_is_of_its_browser_and_of_its_channel(service: Service) -> None:
    """The cookie opens no page; another browser without it, and a challenge of the API in its place, begin again."""
    enrolled = await with_app(service)
    browser = await first_step(service, enrolled)
    challenge = browser.client.cookies[SIGNIN]
    assert (await browser.get("/account")).headers["Location"].startswith("/login?next=")
    assert (await answer_with(service, challenge, enrolled.app.code())).status_code == 401
    other = Browser(service)
    fields = {"kind": "totp", "code": enrolled.app.code()}
    assert (await other.post("/login/factor", **fields)).headers["Location"].startswith("/login?")
    other.client.cookies.set(SIGNIN, await challenged(service, enrolled.person), domain="service.example")
    assert (await other.post("/login/factor", **fields)).headers["Location"].startswith("/login?")
    assert other.cookie is None
    done = await browser.post("/login/factor", **fields, next="/account/sessions")
    assert done.headers["Location"] == "/account/sessions"
    assert browser.cookie is not None
    assert SIGNIN not in browser.client.cookies
    cookie = next(line for line in done.headers.get_list("Set-Cookie") if line.startswith("__Host-session"))
    assert {"Secure", "HttpOnly"} <= set(cookie.split("; "))


@pytest.mark.asvs("7.2.4", "6.6.2")
async def test_cookies_that_were_planted_open_nothing(service: Service) -> None:
    """A victim's code is wrong for an attacker's challenge; a session from before ends at the second step."""
    enrolled, attacker = await with_app(service), await with_app(service)
    victim, planted = await first_step(service, enrolled), await first_step(service, attacker)
    _, before = await with_browser(service)
    victim.client.cookies.set(SIGNIN, planted.client.cookies[SIGNIN], domain="service.example")
    wrong = await victim.post("/login/factor", kind="totp", code=enrolled.app.code())
    assert (wrong.status_code, victim.cookie) == (401, None)
    again = await first_step(service, enrolled)
    again.cookie = before.cookie or ""
    assert (await again.post("/login/factor", kind="totp", code=enrolled.app.code())).status_code == 303
    assert again.cookie not in {None, before.cookie}
    assert (await before.get("/account")).headers["Location"].startswith("/login")


@pytest.mark.asvs("3.7.2", "3.5.1")
async def test_the_second_step_leads_nowhere_else_and_takes_no_form_of_others(service: Service) -> None:
    """A foreign `next` is ignored; a form of another origin is refused, and uses nothing up."""
    enrolled = await with_app(service)
    browser = await first_step(service, enrolled, next="//evil.example")
    foreign = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site"}
    data = {"kind": "totp", "code": enrolled.app.code()}
    assert (await browser.client.post("/login/factor", data=data, headers=foreign)).status_code == 403
    done = await browser.post("/login/factor", **data, next="https://evil.example")
    assert done.headers["Location"] == "/account"


@pytest.mark.asvs("7.5.1", "7.5.3")
async def test_confirming_takes_the_factor_too(service: Service) -> None:
    """The password alone leads to the second step, and only that makes the sign-in recent; the old cookie is dead."""
    enrolled = await with_app(service)
    browser = await first_step(service, enrolled)
    await browser.post("/login/factor", kind="totp", code=enrolled.app.fresh())
    before = browser.cookie
    answer = await browser.post("/confirm", password=enrolled.person.password, next="/account/factors")
    assert answer.headers["Location"] == "/login/factor?next=%2Faccount%2Ffactors"
    assert browser.cookie == before
    done = await browser.post("/login/factor", kind="totp", code=enrolled.app.fresh(), next="/account/factors")
    assert done.headers["Location"] == "/account/factors"
    assert browser.cookie not in {None, before}
    browser.cookie = before or ""
    assert (await browser.get("/account")).headers["Location"].startswith("/login")


@pytest.mark.asvs("6.3.3")
async def test_pages_lead_to_the_enrolment_until_a_factor_is_there(start: StartService) -> None:
    """Every page that needs a sign-in does, consent too; after adding one, the same browser may all again."""
    async with start(require_second_factor_for="admin") as service:
        _, browser = await with_browser(service, Role.ADMIN)
        for path in ("/account", "/account/password", "/admin", "/admin/users"):
            assert (await browser.get(path)).headers["Location"] == "/account/factors", path
        page = await browser.get("/account/factors")
        assert "Your role demands a second factor" in text_of(page)
        assert "/admin" not in re.findall(r'href="([^"]*)"', page.text)
        shown = await browser.post("/account/factors/add/totp")
        assert (await browser.get("/account/factors/add/totp")).headers["Location"] == "/account/factors"
        values = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown.text))
        app = App(re.findall(r'href="(otpauth:[^"]*)"', shown.text)[0].replace("&amp;", "&"))
        wrong = await browser.post("/account/factors/add/totp/confirm", **values, code="000000")
        assert (wrong.status_code, "The answer is wrong" in text_of(wrong)) == (403, True)
        before = browser.cookie
        added = await browser.post("/account/factors/add/totp/confirm", **values, code=app.code())
        assert (added.status_code, added.text.count("<li><code>")) == (200, 10)
        assert browser.cookie not in {None, before}
        assert (await browser.get("/admin/users")).status_code == 200


async def test_an_administrator_resets_factors_on_a_page(service: Service) -> None:
    """Of another account; the page of their own has no such button."""
    enrolled, (admin, browser) = await with_app(service), await with_browser(service, Role.ADMIN)
    path = f"/admin/users/{enrolled.person.id}"
    assert "Remove second factors" in text_of(await browser.get(path))
    assert "Remove second factors" not in text_of(await browser.get(f"/admin/users/{admin.id}"))
    assert (await browser.post(f"{path}/factors/reset")).headers["Location"] == f"{path}?done=factors-reset"
    await service.sign_in(enrolled.person)


@pytest.mark.asvs("7.4.3", "2.3.1")
async def test_a_session_that_ends_while_its_password_is_checked_gets_no_challenge(start: StartService) -> None:
    """The owner sets another password by mail, while a thief with the old one confirms it: it leads to no factor."""
    async with start() as service, start() as other:
        enrolled = await with_app(service)
        thief = await first_step(service, enrolled)
        await thief.post("/login/factor", kind="totp", code=enrolled.app.fresh())
        async with other[Database].transaction() as db:
            await lock_administrators(db, enrolled.person.id)
            confirming = asyncio.ensure_future(thief.post("/confirm", password=enrolled.person.password))
            await asyncio.wait({confirming}, timeout=0.3)
            assert not confirming.done()
            await other[AccountTokens].end_access(db, enrolled.person.id, "password reset")
        answer = await confirming
        assert (answer.status_code, "The session has ended." in text_of(answer)) == (401, True)
        assert SIGNIN not in answer.headers.get("Set-Cookie", "")


async def test_the_qr_code_is_drawn_beside_the_event_loop(service: Service) -> None:
    """It takes some 20 ms, in which nobody else would be answered: its page holds the loop as one without it does."""
    _, browser = await with_browser(service)
    uri = f"otpauth://totp/{'a' * 120}"
    drawing = min(timeit.repeat(lambda: segno.make(uri, error="m"), number=1, timer=time.thread_time))
    held: dict[str, list[float]] = {"totp": [], "passkey": []}
    for kind in (*held, *held) * 5:
        began = time.thread_time()
        answer = await browser.post(f"/account/factors/add/{kind}")
        held[kind].append(time.thread_time() - began)
        assert ("data:image/svg+xml" in answer.text) == (kind == "totp")
    assert min(held["totp"]) < min(held["passkey"]) + drawing / 2
