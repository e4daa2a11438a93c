"""`app/features/pages/entry/authorize.py`: clients ask, users decide, and nobody else gets anything."""

import base64
import hashlib
import html
import re
import secrets
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
import time_machine

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.settings.model import Settings
from app.features.sessions.permissions import AccountPermission
from tests.support.pages.browser import FORM, Browser, text_of
from tests.support.records.trail import stored
from tests.support.service import Service

pytestmark = pytest.mark.anyio

CALLBACK = "https://client.example/callback"
VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


async def client_of(service: Service, **changes: object) -> dict[str, Any]:
    """A registered client."""
    _, admin = await service.signed_in(Role.ADMIN)
    new = {"name": "Photo <b>Prints</b>", "scope": "account:read account:write", "redirect_uris": [CALLBACK], **changes}
    answer = await service.client.post("/api/v1/clients", json=new, headers=admin.bearer)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def address(client: dict[str, Any], **changes: str | None) -> str:
    """The address to which the client sends a browser."""
    parameters = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": client["redirect_uris"][0],
        "scope": "account:read",
        "state": "the client's own",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return "/oauth/authorize?" + urlencode({name: value for name, value in parameters.items() if value is not None})


def answered(answer: httpx2.Response) -> dict[str, str]:
    """What an answer tells the client."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["Location"]
    assert location.startswith(f"{CALLBACK}?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def decide(browser: Browser, page: httpx2.Response, decision: str) -> httpx2.Response:
    """Press a button of the page."""
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    assert "request" in hidden, page.text
    fields = {name: html.unescape(value) for name, value in hidden.items()}
    return await browser.post("/oauth/authorize", **fields, decision=decision)


async def exchange(service: Service, client: dict[str, Any], code: str, **changes: str) -> httpx2.Response:
    """What the client gets for a code."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        "client_id": client["client_id"],
        "client_secret": client["client_secret"],
    }
    return await service.client.post("/oauth/token", data=form | changes)


@pytest.mark.asvs("10.4.6", "10.7.1", "10.7.2")
async def test_from_the_client_to_its_tokens(service: Service) -> None:
    """Signed out, the user signs in and is asked; what they allow is what the client gets, and no more."""
    client, browser, person = await client_of(service), Browser(service), await service.person()
    asked = address(client)
    to_sign_in = await browser.get(asked)
    assert to_sign_in.headers["Location"].startswith("/login?next=/oauth/authorize%3F")
    login = await browser.get(to_sign_in.headers["Location"])
    assert "form-action 'self' https://client.example;" in login.headers["Content-Security-Policy"]
    back = await browser.sign_in(person, next=asked)
    assert back.headers["Location"] == asked
    page = await browser.get(asked)
    assert page.status_code == 200
    assert "Photo <b>Prints</b>" in text_of(page).replace("&lt;", "<") or "Photo &lt;b&gt;" in page.text
    assert "<b>Prints" not in page.text
    assert html.escape(AccountPermission.ACCOUNT_READ.description) in page.text
    assert f"lasts for {service[Settings].session_max_days} days" in text_of(page)
    assert html.escape(AccountPermission.ACCOUNT_WRITE.description) not in page.text
    assert "form-action 'self' https://client.example;" in page.headers["Content-Security-Policy"]
    told = answered(await decide(browser, page, "allow"))
    assert told["state"] == "the client's own"
    assert told["iss"] == "https://service.example"
    tokens = (await exchange(service, client, told["code"])).json()
    assert tokens["scope"] == "account:read"
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await service.client.get("/api/v1/users/me", headers=bearer)).json()["email"] == person.email
    refused = await service.client.patch("/api/v1/users/me", json={"display_name": "Eve"}, headers=bearer)
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


@pytest.mark.asvs("10.7.1")
async def test_is_asked_again_for_more_and_not_for_the_same(service: Service) -> None:
    """What was allowed is not asked twice; what goes beyond it is; the service's own is never asked about."""
    client, browser = await client_of(service), Browser(service)
    await browser.sign_in(await service.person())
    answered(await decide(browser, await browser.get(address(client)), "allow"))
    assert "code" in answered(await browser.get(address(client)))
    assert (await browser.get(address(client, scope="account:read account:write"))).status_code == 200
    own = await client_of(service, first_party=True)
    assert "code" in answered(await browser.get(address(own)))


async def test_deny(service: Service) -> None:
    """The client is told, and gets nothing; the user is asked again the next time."""
    client, browser = await client_of(service), Browser(service)
    await browser.sign_in(await service.person())
    told = answered(await decide(browser, await browser.get(address(client)), "deny"))
    assert (told["error"], "code" in told) == ("access_denied", False)
    assert (await browser.get(address(client))).status_code == 200
    denied = [row for row in await stored(service) if row["action"] == "consent_denied"]
    assert [(row["target_type"], row["outcome"]) for row in denied] == [("client", "success")]


@pytest.mark.asvs("10.4.1")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "unknown"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": f"{CALLBACK}/"},
        {"redirect_uri": f"{CALLBACK}?x=1"},
        {"redirect_uri": f"{CALLBACK}#x"},
        {"redirect_uri": "https://client.example/callback/../evil"},
        {"redirect_uri": "https://client.example@evil.example/callback"},
        {"redirect_uri": "https://client.example:8443/callback"},
        {"redirect_uri": "HTTPS://client.example/callback"},
        {"redirect_uri": "//client.example/callback"},
        {"redirect_uri": "javascript:alert(1)//callback"},
    ],
)
async def test_nobody_is_sent_where_nobody_registered(service: Service, changes: dict[str, str | None]) -> None:
    """An unknown client or address is an error page, signed in or not; never a redirect or a form to it."""
    client, browser = await client_of(service), Browser(service)
    for _ in range(2):
        page = await browser.get(address(client, **changes))
        assert page.status_code == 400
        assert "Location" not in page.headers
        login = await browser.get("/login?" + urlencode({"next": address(client, **changes)}))
        assert "evil" not in login.headers.get("Content-Security-Policy", "")
        await browser.sign_in(await service.person())
    forged = urlsplit(address(client, **changes)).query
    answer = await browser.post("/oauth/authorize", request=forged, decision="allow")
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


@pytest.mark.asvs("3.5.1")
async def test_nobody_decides_for_the_user(service: Service) -> None:
    """A page of somebody else cannot press the button, and nobody can without signing in."""
    client, browser = await client_of(service), Browser(service)
    query = urlsplit(address(client)).query
    form = {"request": query, "decision": "allow"}
    signed_out = await browser.post("/oauth/authorize", **form)
    assert signed_out.headers["Location"].startswith("/login")
    await browser.sign_in(await service.person())
    for headers in ({}, {"Origin": "https://client.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await browser.client.post("/oauth/authorize", data=form, headers=headers)
        assert answer.status_code == 403
    assert (await browser.get(address(client))).status_code == 200
    _, tokens = await service.signed_in()
    answer = await service.client.post("/oauth/authorize", data=form, headers=tokens.bearer | FORM)
    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (303, "/login")


@pytest.mark.asvs("7.5.3")
async def test_a_client_can_ask_for_a_recent_sign_in(service: Service) -> None:
    """With `max_age`, whoever signed in earlier confirms the password first (RFC 9470)."""
    client, browser, person = await client_of(service, first_party=True), Browser(service), await service.person()
    await browser.sign_in(person)
    with time_machine.travel(utc_now().timestamp() + 120, tick=False):
        answer = await browser.get(address(client, max_age="60"))
        assert answer.headers["Location"].startswith("/confirm?next=/oauth/authorize%3F")
        confirm = await browser.get(answer.headers["Location"])
        assert "form-action 'self' https://client.example;" in confirm.headers["Content-Security-Policy"]
        await browser.post("/confirm", password=person.password, next=address(client, max_age="60"))
        assert "code" in answered(await browser.get(address(client, max_age="60")))


async def test_a_query_that_is_a_bomb(service: Service) -> None:
    """Thousands of parameters are refused, on the page and as the target of a form."""
    many = "/oauth/authorize?" + "&".join(f"a{number}=1" for number in range(200))
    assert (await Browser(service).get(many)).status_code == 400
    assert (await Browser(service).get("/login?" + urlencode({"next": many}))).status_code == 200
