"""What is linked with my account: the page, linking and unlinking, and what of it is kept about me."""

import asyncio
import time

import pytest
from sqlalchemy import delete

from app.core.database.database import Database
from app.features.accounts.administration import lock_administrators
from app.features.accounts.service import AccountService
from app.features.identity.models import Identity
from tests.conftest import StartService
from tests.features.factors.steps import FACTORS
from tests.features.identity.providers.issuer import Issuer
from tests.features.identity.steps import (
    IDENTITIES,
    at_provider,
    begin,
    identity_ids,
    last_event,
    link,
    linked,
    sign_in,
)
from tests.support.api.authenticator import Passkey
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.pages.counterparts import compare
from tests.support.records.mail import Mailbox, bodies
from tests.support.service import Service

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("6.3.7", "16.3.3")
async def test_linking_is_told_and_on_record(service: Service, good: Issuer, mailbox: Mailbox) -> None:
    """The provider has to ask the person (`max_age`); the owner gets a mail; page and copy of the data have it."""
    person, browser = await linked(service, good)
    assert good.queries[-1]["max_age"] == "0"
    action, who, details = await last_event(service)
    assert (action, who, details) == ("identity_linked", str(person.id), {"issuer": good.url})
    (mail,) = await mailbox.wait(person.email, 1)
    assert all("with Good was linked to your account" in " ".join(body.split()) for body in bodies(mail))
    page = text_of(await browser.get(IDENTITIES))
    assert good.person["sub"] in page
    assert "not used yet" in page
    good.claims["sid"] = "known there as this"
    await sign_in(Browser(service))
    (_, other), tokens = await service.signed_in(), await service.sign_in(person)
    mine, theirs = [
        (await service.client.get("/api/v1/users/me/export", headers=each.bearer)).json() for each in (tokens, other)
    ]
    assert [(each["issuer"], each["subject"]) for each in mine["identities"]] == [(good.url, good.person["sub"])]
    assert [each["sid"] for each in mine["identity_sessions"]] == ["known there as this"]
    assert theirs["identities"] == theirs["identity_sessions"] == []
    assert "not used yet" not in text_of(await browser.get(IDENTITIES))


@pytest.mark.asvs("7.5.1", "7.6.1")
async def test_who_signed_in_there_long_ago_links_nothing(service: Service, good: Issuer) -> None:
    """A provider that was told to ask the person, and says that it did not, has nobody's proof."""
    _, browser = await with_browser(service)
    good.claims["auth_time"] = int(time.time()) - 16 * 60
    answer = await link(browser)
    assert answer.status_code == 403
    assert "did not ask you again" in text_of(answer)
    assert await identity_ids(browser) == []
    good.claims["auth_time"] = int(time.time()) - 60
    assert (await link(browser)).status_code == 303
    assert len(await identity_ids(browser)) == 1


@pytest.mark.asvs("7.5.1", "8.2.2")
async def test_an_identity_is_linked_with_one_account(service: Service, good: Issuer) -> None:
    """Neither somebody else, nor the same person once more, links it."""
    await linked(service, good)
    _, other = await with_browser(service)
    for browser in (other, other):
        answer = await link(browser)
        assert answer.status_code == 409
        assert "linked already" in text_of(answer)
    assert await identity_ids(other) == []


@pytest.mark.asvs("10.2.1", "7.2.4")
async def test_a_link_is_for_the_session_that_began_it(service: Service, good: Issuer) -> None:
    """A browser in which somebody else has signed in meanwhile, or nobody is, links nothing."""
    _, browser = await with_browser(service)
    path = await at_provider(await begin(browser, f"{IDENTITIES}/link/good"))
    person = await service.person()
    await browser.sign_in(person)
    assert (await browser.get(path)).status_code == 400
    assert await identity_ids(browser) == []
    path = await at_provider(await begin(browser, f"{IDENTITIES}/link/good"))
    await browser.post("/logout")
    assert (await browser.get(path)).status_code == 400
    assert browser.cookie is None
    assert (await sign_in(Browser(service))).status_code == 403


@pytest.mark.asvs("7.4.3", "16.3.3")
async def test_what_is_unlinked_opens_nothing(service: Service, good: Issuer) -> None:
    """Its sessions elsewhere end; somebody else's is not there."""
    person, browser = await linked(service, good)
    elsewhere = Browser(service)
    await sign_in(elsewhere)
    (identity_id,) = await identity_ids(browser)
    _, other = await with_browser(service)
    assert (await other.post(f"{IDENTITIES}/{identity_id}/unlink")).status_code == 404
    answer = await browser.post(f"{IDENTITIES}/{identity_id}/unlink")
    assert answer.headers["Location"] == f"{IDENTITIES}?done=identity-unlinked"
    action, who, _ = await last_event(service)
    assert (action, who) in {("identity_unlinked", str(person.id)), ("session_ended", str(person.id))}
    assert "You have none yet." in text_of(await browser.get(IDENTITIES))
    assert (await elsewhere.get("/account")).status_code == 303
    assert (await sign_in(Browser(service))).status_code == 403


async def test_the_last_way_to_sign_in_stays(service: Service, issuers: dict[str, Issuer]) -> None:
    """An account without a password keeps one identity, until it has a password."""
    for issuer in issuers.values():
        issuer.person |= {"email": "only.here@people.example", "email_verified": True}
    browser = Browser(service)
    await sign_in(browser)
    await link(browser, "other")
    first, second = await identity_ids(browser)
    assert (await browser.post(f"{IDENTITIES}/{first}/unlink")).status_code == 303
    answer = await browser.post(f"{IDENTITIES}/{second}/unlink")
    assert answer.status_code == 409
    assert "your only way to sign in" in text_of(answer)
    assert await identity_ids(browser) == [second]
    user_id = await service[AccountService].find("only.here@people.example")
    assert user_id is not None
    assert (await service[AccountService].get(user_id)).password_hash is None


async def test_a_passkey_is_a_way_in_beside_an_identity(service: Service, good: Issuer) -> None:
    """With it, an account without a password needs the identity no more; then the passkey stays."""
    good.person |= {"email": "only.here@people.example", "email_verified": True}
    browser, own = Browser(service), {"Sec-Fetch-Site": "same-origin"}
    await sign_in(browser)
    begun = (await browser.client.post(FACTORS, json={"kind": "passkey"}, headers=own)).json()
    body = {"enrolment": begun["enrolment"], "credential": Passkey().create(begun["options"]), "kind": "passkey"}
    added = await browser.client.post(FACTORS, json=body, headers=own)
    assert added.status_code == 201, added.text
    (identity_id,) = await identity_ids(browser)
    assert (await browser.post(f"{IDENTITIES}/{identity_id}/unlink")).status_code == 303
    kept = await browser.client.delete(f"{FACTORS}/{added.json()['id']}", headers=own)
    assert (kept.status_code, "your only way to sign in" in kept.json()["detail"]) == (409, True)


@pytest.mark.asvs("7.5.3")
async def test_changes_take_a_recent_sign_in(start: StartService, good: Issuer) -> None:
    """No page asks for less than the API does, nor the API for less than the others of the account do."""
    async with start() as service:
        counterparts = {
            f"GET {IDENTITIES}": "GET /api/v1/users/me/identities",
            f"POST {IDENTITIES}/link/{{name}}": "POST /api/v1/users/me/factors",
            f"POST {IDENTITIES}/{{identity_id}}/unlink": "DELETE /api/v1/users/me/identities/{identity_id}",
            "GET /api/v1/users/me/identities": "GET /api/v1/users/me",
            "DELETE /api/v1/users/me/identities/{identity_id}": "DELETE /api/v1/users/me/factors/{factor_id}",
            "POST /login/with/{name}": None,
            "GET /login/callback/{name}": None,
            "POST /oauth/backchannel-logout/{name}": None,
        }
        assert compare(service.app, "identity", counterparts) == ([], [])


@pytest.mark.asvs("7.4.3", "15.4.2")
async def test_a_sign_in_that_waits_for_its_end_signs_nobody_in(start: StartService, good: Issuer) -> None:
    """The identity is unlinked while the provider's answer waits for the account: a page, no session, and no crash."""
    async with start() as service, start() as other:
        person, _ = await linked(service, good)
        browser = Browser(service)
        path = await at_provider(await begin(browser))
        async with other[Database].transaction() as db:
            await lock_administrators(db, person.id)
            coming = asyncio.ensure_future(browser.get(path))
            await asyncio.wait({coming}, timeout=0.5)
            assert not coming.done()
            await db.execute(delete(Identity).where(Identity.user_id == person.id))
        assert (await coming).status_code in {403, 409}  # SQLite lets nobody read meanwhile
        assert browser.cookie is None
