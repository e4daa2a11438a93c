"""The pages of OAuth clients: what users have allowed, and the administration of clients."""

import asyncio
import re
from uuid import uuid4

import pytest
from markupsafe import escape
from sqlalchemy import func, select

from app.access.roles import Role
from app.core.database.database import Database
from app.core.mail.outbox import OutboxMail
from app.features.accounts.administration import lock_administrators
from app.features.browser.service import BrowserSessions
from app.features.sessions.events import ENDED_BY_USER
from app.features.sessions.service import SessionService
from tests.conftest import PUBLIC_URL, StartService
from tests.features.pages.entry.test_authorize import CALLBACK, address, answered, client_of, decide, exchange
from tests.support.pages.browser import Browser, shows_again, text_of
from tests.support.records.mail import Mailbox, bodies
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

APPLICATIONS, CLIENTS = "/account/applications", "/admin/clients"
NEW = {"name": "Photo Prints", "kind": "web", "redirect_uris": CALLBACK, "scope_account_read": "on"}


async def administrator(service: Service) -> Browser:
    """An administrator's browser."""
    browser = Browser(service)
    await browser.sign_in(await service.person(Role.ADMIN))
    return browser


@pytest.mark.asvs("10.7.3")
async def test_takes_back_what_was_allowed(service: Service) -> None:
    """The list names the application and what it may do; taken back, its tokens are dead and it has to ask again."""
    client, browser, person = await client_of(service), Browser(service), await service.person()
    await browser.sign_in(person)
    assert "not allowed any application" in text_of(await browser.get(APPLICATIONS))
    told = answered(await decide(browser, await browser.get(address(client)), "allow"))
    tokens = (await exchange(service, client, told["code"])).json()
    page = await browser.get(APPLICATIONS)
    assert "See your name" in text_of(page)
    found = re.search(rf"{APPLICATIONS}/[0-9a-f-]+/revoke", page.text)
    assert found
    stranger = Browser(service)
    await stranger.sign_in(await service.person())
    assert (await stranger.post(found[0])).status_code == 404
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await service.client.get("/api/v1/users/me", headers=bearer)).status_code == 200
    assert (await browser.post(found[0])).status_code == 303
    assert (await service.client.get("/api/v1/users/me", headers=bearer)).status_code == 401
    assert (await service.refresh(tokens["refresh_token"], client_id=client["client_id"])).status_code in {400, 401}
    assert (await browser.get(address(client))).status_code == 200


@pytest.mark.asvs("7.4.1", "15.4.2")
async def test_a_browser_that_is_signed_out_while_it_waits_takes_nothing_back(start: StartService) -> None:
    """Its request was let in, and then its session ended on another connection: the application keeps its tokens."""
    async with start() as service, start() as other:
        client, browser, person = await client_of(service), Browser(service), await service.person()
        await browser.sign_in(person)
        told = answered(await decide(browser, await browser.get(address(client)), "allow"))
        tokens = tokens_of(await exchange(service, client, told["code"]))
        found = re.search(rf"{APPLICATIONS}/[0-9a-f-]+/revoke", (await browser.get(APPLICATIONS)).text)
        assert found
        signed_in = await service[BrowserSessions].signed_in(browser.cookie)
        assert signed_in
        async with other[Database].transaction() as db:
            await lock_administrators(db, person.id)
            answer = asyncio.ensure_future(browser.post(found[0]))
            await asyncio.wait({answer}, timeout=0.5)
            assert not answer.done()
            await other[SessionService].end(db, ENDED_BY_USER, id=signed_in.principal.session_id)
        assert (await answer).status_code == 303
        assert (await answer).headers["Location"].startswith("/login")
        assert (await service.whoami(tokens)).status_code == 200


@pytest.mark.asvs("6.3.7")
async def test_tells_of_an_application_that_was_allowed(service: Service, mailbox: Mailbox) -> None:
    """Which, from where, and how to take it back; not once more where nothing is added, nor if it is denied."""
    client, browser, person = await client_of(service), Browser(service), await service.person()
    await browser.sign_in(person)
    await decide(browser, await browser.get(address(client)), "deny")
    await decide(browser, await browser.get(address(client)), "allow")
    answered(await browser.get(address(client)))
    (message,) = await mailbox.wait(person.email)
    assert message["Subject"].endswith(": An application may act for you")
    text, html = bodies(message)
    assert client["name"] in text
    assert str(escape(client["name"])) in html
    for body in (text, html):
        assert "127.0.0.1" in body
        assert f"{PUBLIC_URL}/account/applications" in body
    async with service[Database].read() as db:
        assert await db.scalar(select(func.count()).select_from(OutboxMail)) == 1


async def test_an_application_is_not_told_where_that_is_switched_off(service: Service) -> None:
    """Its owner does not want to know."""
    client, browser, person = await client_of(service), Browser(service), await service.person()
    await browser.sign_in(person)
    await browser.post("/account/alerts", new_device="on")
    await decide(browser, await browser.get(address(client)), "allow")
    async with service[Database].read() as db:
        assert await db.scalar(select(func.count()).select_from(OutboxMail)) == 0


async def test_registers_a_client_that_works(service: Service) -> None:
    """What the form registers can be used at once; its secret is on that one page, and dead after another is made."""
    browser = await administrator(service)
    page = await browser.post(f"{CLIENTS}/new", **NEW)
    assert page.status_code == 200, text_of(page)
    client_id, secret = re.findall(r"<dd><code>([^<]+)</code>", page.text)
    listed = await browser.get(CLIENTS)
    found = re.search(rf"{CLIENTS}/[0-9a-f-]{{36}}", listed.text)
    assert found
    shown = await browser.get(found[0])
    assert client_id in shown.text
    assert secret not in shown.text + listed.text
    credentials = {"client_id": client_id, "client_secret": secret, "token": "unknown"}
    assert (await service.client.post("/oauth/introspect", data=credentials)).json() == {"active": False}
    another = re.findall(r"<dd><code>([^<]+)</code>", (await browser.post(f"{found[0]}/secret")).text)[1]
    assert (await service.client.post("/oauth/introspect", data=credentials)).status_code == 401
    assert (await browser.post(f"{found[0]}/remove")).status_code == 303
    credentials["client_secret"] = another
    assert (await service.client.post("/oauth/introspect", data=credentials)).status_code == 401
    assert (await browser.get(found[0])).status_code == 404


async def test_finds_clients_by_name_and_id(service: Service) -> None:
    """In any case, or by the whole id; the box keeps what was searched for, and the list says what each client is."""
    browser = await administrator(service)
    await browser.post(f"{CLIENTS}/new", **NEW)
    program = {"name": "Nightly job", "kind": "service", "scope_account_read": "on", "role_member": "on"}
    await browser.post(f"{CLIENTS}/new", **program)
    page = await browser.get(CLIENTS, params={"q": "PRINTS"})
    assert re.findall(r"<bdi>([^<]+)</bdi>", page.text) == ["Photo Prints"]
    assert ('value="PRINTS"' in page.text, "Photo Prints server" in text_of(page)) == (True, True)
    assert "Nightly job program" in text_of(await browser.get(CLIENTS, params={"q": ""}))
    (client_id,) = re.findall(r"<code>([0-9a-f]{32})</code>", page.text)
    page = await browser.get(CLIENTS, params={"q": client_id})
    assert re.findall(r"<bdi>([^<]+)</bdi>", page.text) == ["Photo Prints"]
    for text in ("%", "nobody", client_id[:8]):
        assert "No client has such a name or id." in text_of(await browser.get(CLIENTS, params={"q": text}))
    for wrong in ({"q": "x" * 101}, {"cursor": "x"}, {"sort": "name"}):
        shows_again(await browser.get(CLIENTS, params=wrong), 422)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "Please fill this in."),
        ({"redirect_uris": "http://client.example/callback"}, "redirect_uris-help"),
        ({"redirect_uris": "https://*.example/"}, "redirect_uris-help"),
        ({"redirect_uris": ""}, "authorization_code needs redirect_uris"),
        ({"scope_account_read": ""}, "Choose at least one."),
        ({"kind": "service"}, "authorization_code needs redirect_uris"),
        ({"kind": "unheard-of"}, "Please look at the fields"),
        ({"first_party": "yes"}, "Please look at the fields"),
        ({"client_secret": "of my choice"}, "This form has no such field."),
    ],
)
async def test_says_what_is_wrong_and_keeps_the_rest(service: Service, changes: dict[str, str], said: str) -> None:
    """Nothing is registered; what was typed is still there."""
    browser = await administrator(service)
    page = await browser.post(f"{CLIENTS}/new", **{**NEW, **changes})
    assert page.status_code == 422
    assert said in page.text
    if "name" not in changes:
        assert 'value="Photo Prints"' in page.text
    assert "There is no client yet." in text_of(await browser.get(CLIENTS))


@pytest.mark.asvs("8.2.1")
async def test_is_for_administrators(service: Service) -> None:
    """Members and auditors see no client and make none."""
    client = await client_of(service)
    for role in (Role.MEMBER, Role.AUDITOR):
        browser = Browser(service)
        await browser.sign_in(await service.person(role))
        for path in (CLIENTS, f"{CLIENTS}/new", f"{CLIENTS}/{client['id']}"):
            assert (await browser.get(path)).status_code == 403
        for path in (f"{CLIENTS}/new", f"{CLIENTS}/{client['id']}/secret", f"{CLIENTS}/{client['id']}/remove"):
            assert (await browser.post(path)).status_code == 403
    assert (await (await administrator(service)).get(f"{CLIENTS}/{uuid4()}")).status_code == 404
