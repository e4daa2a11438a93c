"""What a consent is worth: what was granted on the page, by somebody who has just signed in, until it is taken back."""

import asyncio
from typing import Any

import pytest
import time_machine
from sqlalchemy import delete

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.accounts.administration import lock_administrators
from app.features.authorization.models import Consent
from app.features.authorization.service import AuthorizationService
from tests.conftest import StartService
from tests.features.pages.entry.test_authorize import address, answered, client_of, decide, exchange
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.records.mail import Mailbox
from tests.support.service import Person, Service

pytestmark = pytest.mark.anyio

SCOPE = "account:read users:read"


async def promote(service: Service, person: Person) -> None:
    """Give a member the rights of an auditor."""
    _, admin = await service.signed_in(Role.ADMIN)
    path, body = f"/api/v1/users/{person.id}/roles", {"roles": ["auditor"]}
    assert (await service.client.put(path, json=body, headers=admin.bearer)).status_code == 200


@pytest.mark.asvs("10.7.1", "10.4.11")
async def test_rights_that_came_later_are_asked_about(service: Service) -> None:
    """A member allowed what a member may do; promoted, they see the page again, and decide about the rest."""
    client, (person, browser) = await client_of(service, scope=SCOPE), await with_browser(service)
    asked = address(client, scope=SCOPE)
    page = await browser.get(asked)
    assert "See your name" in text_of(page)
    assert "See all accounts" not in text_of(page)
    told = answered(await decide(browser, page, "allow"))
    assert (await exchange(service, client, told["code"])).json()["scope"] == "account:read"
    assert "code" in answered(await browser.get(asked))
    await promote(service, person)
    await browser.sign_in(person)
    page = await browser.get(asked)
    assert page.status_code == 200
    assert "See all accounts" in text_of(page)
    told = answered(await decide(browser, page, "allow"))
    assert (await exchange(service, client, told["code"])).json()["scope"] == SCOPE
    assert "code" in answered(await browser.get(asked))


@pytest.mark.asvs("10.7.1", "10.7.2")
async def test_a_page_gives_no_more_than_it_said(service: Service) -> None:
    """It was open while its user was promoted: the button gives what was shown, and the rest is asked about."""
    client, (person, browser) = await client_of(service, scope=SCOPE), await with_browser(service)
    page = await browser.get(address(client, scope=SCOPE))
    await promote(service, person)
    await browser.sign_in(person)
    told = answered(await decide(browser, page, "allow"))
    assert (await exchange(service, client, told["code"])).json()["scope"] == "account:read"
    assert (await browser.get(address(client, scope=SCOPE))).status_code == 200


@pytest.mark.asvs("7.5.3", "10.7.1")
async def test_more_than_reading_is_allowed_after_a_recent_sign_in_alone(service: Service) -> None:
    """A session that is 16 minutes old confirms the password first, on the page and at its button; to read, it may."""
    client, (person, browser) = await client_of(service), await with_browser(service)
    writes, reads = address(client, scope="account:read account:write"), address(client)
    page = await browser.get(writes)
    with time_machine.travel(utc_now().timestamp() + 16 * 60, tick=False):
        for answer in (await browser.get(writes), await decide(browser, page, "allow")):
            assert answer.status_code == 303
            assert answer.headers["Location"].startswith("/confirm?next=/oauth/authorize%3F")
        assert answered(await decide(browser, page, "deny"))["error"] == "access_denied"
        assert "code" in answered(await decide(browser, await browser.get(reads), "allow"))
        await browser.post("/confirm", password=person.password, next=writes)
        assert "code" in answered(await decide(browser, await browser.get(writes), "allow"))
    with time_machine.travel(utc_now().timestamp() + 60 * 60, tick=False):
        assert "code" in answered(await browser.get(writes))


async def application_of(service: Service, browser: Browser) -> tuple[dict[str, Any], str, dict[str, str]]:
    """A client that the user has allowed, a code of it that is not used yet, and its tokens."""
    client = await client_of(service)
    first = answered(await decide(browser, await browser.get(address(client)), "allow"))["code"]
    tokens: dict[str, str] = (await exchange(service, client, first)).json()
    return client, answered(await browser.get(address(client)))["code"], tokens


async def worth(service: Service, client: dict[str, Any], code: str, tokens: dict[str, str]) -> list[int]:
    """The statuses of answers to the client: to its access token, its refresh token and its code."""
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    answers = [await service.client.get("/api/v1/users/me", headers=bearer)]
    secret = {name: client[name] for name in ("client_id", "client_secret")}
    answers += [await service.refresh(tokens["refresh_token"], **secret), await exchange(service, client, code)]
    return [answer.status_code for answer in answers]


@pytest.mark.asvs("7.4.3", "10.7.3")
@pytest.mark.parametrize("by", ["the API", "the page"])
async def test_a_reset_ends_whatever_applications_got(service: Service, mailbox: Mailbox, by: str) -> None:
    """Consents, codes, access and refresh tokens, beside the sessions of the service; nothing of anybody else."""
    post, (person, browser) = Post(service, mailbox), await with_browser(service)
    theirs = await application_of(service, browser)
    _, others = await with_browser(service)
    of_others = await application_of(service, others)
    own = await service.sign_in(person)
    await post.forgot(person.email)
    token = await post.mailed_token(person.email)
    if by == "the API":
        assert await post.reset(token) == 204
    else:
        assert (await Browser(service).post("/reset", token=token, new_password=PASSWORD)).status_code == 200
    assert (await service.whoami(own)).status_code == 401
    assert await worth(service, *theirs) == [401, 400, 400]
    assert (await browser.get(address(theirs[0]))).headers["Location"].startswith("/login")
    await browser.sign_in(Person(person.id, person.email, PASSWORD))
    assert "See your name" in text_of(await browser.get(address(theirs[0])))
    assert await worth(service, *of_others) == [200, 200, 200]
    assert "code" in answered(await others.get(address(of_others[0])))


async def test_a_scope_of_which_the_user_may_do_nothing_is_not_asked_about(service: Service) -> None:
    """There would be nothing to allow: the client is told."""
    client, (_, browser) = await client_of(service, scope=SCOPE), await with_browser(service)
    assert answered(await browser.get(address(client, scope="users:read")))["error"] == "invalid_scope"


@pytest.mark.asvs("10.7.3")
async def test_a_consent_that_is_taken_back_meanwhile_is_not_given_anew(start: StartService) -> None:
    """A request that asks nobody waits for the user who takes the consent back, and gets no code."""
    async with start() as service, start() as other:
        client, (person, browser) = await client_of(service), await with_browser(service)
        answered(await decide(browser, await browser.get(address(client)), "allow"))
        async with other[Database].transaction() as db:
            await lock_administrators(db, person.id)
            silent = asyncio.ensure_future(browser.get(address(client, prompt="none")))
            await asyncio.wait({silent}, timeout=0.5)
            assert not silent.done()
            await db.execute(delete(Consent).where(Consent.user_id == person.id))
        assert answered(await silent)["error"] == "consent_required"
        assert await service[AuthorizationService].consents(person.id) == []
