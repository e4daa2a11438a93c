"""The pages that take passkeys, as a hostile page, browser or user sees them."""

import html
import json
import re
from typing import Any

import httpx2
import pytest

from tests.features.factors.passkeys.steps import Owner, answer_by, with_passkey
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PASSKEY, OPTIONS = "__Host-passkey", "/login/passkey/options"


async def begun(browser: Browser) -> dict[str, Any]:
    """Ask for options, as the script of the page does."""
    answer = await browser.post(OPTIONS)
    assert answer.status_code == 200
    assert {"Secure", "HttpOnly", "SameSite=lax"} <= set(answer.headers["Set-Cookie"].split("; "))
    options: dict[str, Any] = answer.json()
    return options


async def sent(browser: Browser, owner: Owner, options: dict[str, Any], **more: str) -> httpx2.Response:
    """Send the answer of a passkey."""
    return await browser.post("/login/passkey", kind="passkey", credential=owner.passkey.get(options), **more)


@pytest.mark.asvs("6.6.2", "3.3.4", "7.2.4")
async def test_a_challenge_is_of_its_browser_and_channel_and_used_once(service: Service) -> None:
    """Another browser opens nothing with the same answer, nor does the API; the session's cookie is a new one."""
    owner, browser, other = await with_passkey(service), Browser(service), Browser(service)
    options = await begun(browser)
    credential = owner.passkey.get(options)
    await begun(other)
    fields = {"kind": "passkey", "credential": credential, "next": "/account/sessions"}
    assert (await other.post("/login/passkey", **fields)).status_code == 401
    challenge = browser.client.cookies[PASSKEY]
    assert (await answer_by(service, {"challenge": challenge}, credential)).status_code == 401
    assert other.cookie is None
    done = await browser.post("/login/passkey", **fields)
    assert (done.status_code, done.headers["Location"]) == (303, "/account/sessions")
    first = browser.cookie
    browser.client.cookies.clear()
    browser.client.cookies.set(PASSKEY, challenge, domain="service.example")
    again = await browser.post("/login/passkey", **fields)
    assert (again.status_code, browser.cookie, first is None) == (401, None, False)


@pytest.mark.asvs("3.5.1", "3.7.2")
async def test_no_other_site_signs_a_browser_in_or_leads_it_away(service: Service) -> None:
    """Neither options nor answer are taken from another origin; `next` stays within the service."""
    owner, browser = await with_passkey(service), Browser(service)
    options = await begun(browser)
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    for path in (OPTIONS, "/login/passkey"):
        data = {"kind": "passkey", "credential": owner.passkey.get(options)}
        assert (await browser.client.post(path, data=data, headers=foreign)).status_code == 403
    done = await sent(browser, owner, options, next="https://evil.example")
    assert done.headers["Location"] == "/account"


@pytest.mark.asvs("7.2.4", "7.5.1")
async def test_a_passkey_confirms_its_own_user_alone(service: Service) -> None:
    """Somebody else's is refused where somebody is signed in; the right one opens a session in place of the old one."""
    other = await with_passkey(service)
    person, browser = await with_browser(service)
    before = browser.cookie
    refused = await sent(browser, other, await begun(browser), next="/account/password")
    assert (refused.status_code, browser.cookie) == (401, before)
    assert person.email in text_of(refused)
    mine = Browser(service)
    assert (await sent(mine, other, await begun(mine))).status_code == 303
    first = mine.cookie
    done = await sent(mine, other, await begun(mine), next="/account/password")
    assert (done.headers["Location"], mine.cookie != first) == ("/account/password", True)
    ended = Browser(service)
    ended.cookie = first or ""
    assert (await ended.get("/account")).status_code == 303


async def test_after_the_password_the_page_asks_for_the_passkey_first(service: Service) -> None:
    """Its options are those of the challenge; what is not there is not offered; a wrong answer is told on the page."""
    owner, browser = await with_passkey(service), Browser(service)
    await browser.sign_in(owner.person)
    page = await browser.get("/login/factor?next=/account/sessions")
    found = re.search(r'data-options="([^"]+)"', page.text)
    assert found is not None
    options = json.loads(html.unescape(found[1]))
    assert len(options["allowCredentials"]) == 1
    assert "recovery code" in text_of(page)
    assert "authenticator app" not in text_of(page)
    fields = {"kind": "passkey", "next": "/account/sessions"}
    wrong = await browser.post("/login/factor", **fields, credential=owner.passkey.get(options, origin="http://x"))
    assert (wrong.status_code, "wrong, or was used before" in text_of(wrong)) == (401, True)
    done = await browser.post("/login/factor", **fields, credential=owner.passkey.get(options))
    assert done.headers["Location"] == "/account/sessions"


@pytest.mark.asvs("3.4.3")
async def test_the_policy_lets_in_scripts_of_this_service_alone(service: Service) -> None:
    """On the pages that ask for a passkey, also on the way to a client; no page that needs none has a script."""
    _, browser = await with_browser(service)
    for path in ("/confirm", "/confirm?next=/oauth/authorize%3Fclient_id%3Dx"):
        policy = (await browser.get(path)).headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
    assert "script-src" not in (await browser.get("/account/factors")).headers["Content-Security-Policy"]
    assert "script-src 'self';" in (await Browser(service).get("/login")).headers["Content-Security-Policy"]


@pytest.mark.asvs("6.2.3", "7.5.1")
async def test_the_pages_let_a_password_go_and_come_back(service: Service) -> None:
    """Without one, the forms that ask for it take none, and the page that confirms takes the passkey."""
    owner, browser = await with_passkey(service), Browser(service)
    await sent(browser, owner, await begun(browser))
    assert "Without a password" in text_of(await browser.get("/account/factors"))
    done = await browser.post("/account/factors/alone")
    assert done.headers["Location"] == "/account/factors?done=password-removed"
    assert "Without a password" not in text_of(await browser.get("/account/factors"))
    refused = await browser.post("/confirm", password=owner.person.password)
    assert (refused.status_code, "The current password is wrong." in text_of(refused)) == (403, True)
    assert (await sent(browser, owner, await begun(browser), next="/account")).status_code == 303
    changed = await browser.post("/account/password", new_password="unrelated words of a song")
    assert changed.headers["Location"] == "/account?done=password"
    again = await browser.post("/account/email", new_email="another@people.example")
    assert (again.status_code, "Please fill this in." in text_of(again)) == (422, True)
