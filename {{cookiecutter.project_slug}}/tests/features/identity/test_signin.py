"""Signing in with a provider: which account it opens, and which it does not."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest

from app.access.roles import Role
from app.features.accounts.service import AccountService
from tests.conftest import StartService
from tests.features.factors.steps import enrol
from tests.features.identity.providers.issuer import Issuer
from tests.features.identity.steps import at_provider, begin, last_event, linked, sign_in
from tests.support.pages.browser import Browser, text_of
from tests.support.records.mail import Mailbox, bodies
from tests.support.records.trail import actions
from tests.support.service import Service

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("10.5.1", "10.5.3", "10.5.4")
async def test_a_linked_identity_opens_its_account_and_leads_on(service: Service, good: Issuer) -> None:
    """With code, PKCE, state and nonce; the session is like any other, and says `fed`."""
    person, _ = await linked(service, good)
    browser = Browser(service)
    answer = await sign_in(browser, next="/account/sessions")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account/sessions")
    assert person.email in (await browser.get("/account")).text
    (query,) = good.queries[-1:]
    assert {len(query[name]) for name in ("state", "nonce", "code_challenge")} == {43}
    assert len({query["state"], query["nonce"], query["code_challenge"]}) == 3
    action, who, details = await last_event(service)
    assert (action, who, details["method"]) == ("signin_succeeded", str(person.id), "fed")


async def test_the_button_is_where_a_password_is_asked_for(service: Service, good: Issuer) -> None:
    """On the page of the sign-in and on that of the confirmation; an unknown name is none."""
    _, signed_in = await linked(service, good)
    for browser, path in ((Browser(service), "/login"), (signed_in, "/confirm")):
        page = (await browser.get(path)).text
        assert 'action="/login/with/good"' in page
        assert "Sign in with Other" in page
        assert (await browser.post("/login/with/nobody")).status_code == 404


@pytest.mark.asvs("3.5.1", "7.6.2")
async def test_a_form_of_another_site_begins_nothing(service: Service, good: Issuer) -> None:
    """No page of others signs anybody in as somebody else."""
    headers = {"Sec-Fetch-Site": "cross-site", "Content-Type": "application/x-www-form-urlencoded"}
    answer = await service.client.post("/login/with/good", headers=headers)
    assert answer.status_code == 403
    assert good.asked == []


@pytest.mark.asvs("6.8.1")
async def test_a_new_user_gets_an_account_without_a_password(service: Service, good: Issuer, mailbox: Mailbox) -> None:
    """If all can register, and the provider has verified the address; the owner is told."""
    good.person |= {"email": "New.Person@people.example", "email_verified": True}
    browser = Browser(service)
    assert (await sign_in(browser)).status_code == 303
    page = (await browser.get("/account")).text
    assert "New.Person@people.example" in page
    assert "member" in page
    user_id = await service[AccountService].find("new.person@people.example")
    assert user_id is not None
    assert (await service[AccountService].get(user_id)).password_hash is None
    (mail,) = await mailbox.wait("New.Person@people.example", 1)
    assert all("sign-in with Good" in " ".join(body.split()) for body in bodies(mail))
    assert (await sign_in(Browser(service))).status_code == 303


UNVERIFIED = "has not verified an e-mail address"
ADDRESSES: list[tuple[dict[str, object], str]] = [
    ({"email": "known@people.example", "email_verified": True}, "Sign in with your password, and link it"),
    ({"email": "known@people.example", "email_verified": False}, UNVERIFIED),
    ({"email": "known@people.example", "email_verified": "true"}, UNVERIFIED),
    ({"email": "known@people.example"}, UNVERIFIED),
    ({"email": "no address", "email_verified": True}, UNVERIFIED),
    ({"email": ["a@people.example"], "email_verified": True}, UNVERIFIED),
    ({}, UNVERIFIED),
]


@pytest.mark.asvs("6.8.1")
async def test_an_address_opens_no_account(service: Service, good: Issuer) -> None:
    """An account is there already, or nobody has verified the address: nothing is linked, and nothing is made."""
    person, browser = await service.person(email="known@people.example"), Browser(service)
    for said, words in ADDRESSES:
        good.person = {"sub": "somebody", **said}
        answer = await sign_in(browser)
        assert answer.status_code == 403
        assert words in text_of(answer), said
        assert browser.cookie is None
    assert (await browser.sign_in(person)).status_code == 303


async def test_nobody_registers_where_that_is_closed(start: StartService, good: Issuer) -> None:
    """The same words, whether the address has an account or not."""
    async with start(registration="closed") as service:
        person, texts = await service.person(), set()
        for address in (person.email, "nobody@people.example"):
            good.person |= {"email": address, "email_verified": True}
            answer = await sign_in(Browser(service))
            assert answer.status_code == 403
            texts.add(text_of(answer))
        assert len(texts) == 1
        assert "No account is linked with it." in texts.pop()


@pytest.mark.asvs("6.8.1")
async def test_the_same_subject_of_another_issuer_is_somebody_else(
    service: Service, issuers: dict[str, Issuer]
) -> None:
    """An identity is issuer and subject."""
    await linked(service, issuers["good"])
    issuers["other"].person = dict(issuers["good"].person)
    assert (await sign_in(Browser(service), "/login/with/other")).status_code == 403


@pytest.mark.asvs("7.4.2")
async def test_a_disabled_account_is_refused(service: Service, good: Issuer) -> None:
    """Its identity is known, and opens nothing."""
    person, _ = await linked(service, good)
    _, admin = await service.signed_in(Role.ADMIN)
    await service.client.patch(f"/api/v1/users/{person.id}", json={"disabled": True}, headers=admin.bearer)
    browser = Browser(service)
    answer = await sign_in(browser)
    assert answer.status_code == 403
    assert browser.cookie is None
    action, who, _ = await last_event(service)
    assert (action, who) == ("signin_failed", str(person.id))


@pytest.mark.asvs("6.3.3", "6.8.4")
async def test_a_second_factor_is_asked_for_still(service: Service, good: Issuer) -> None:
    """The provider is the first factor; the session says both."""
    person, _ = await linked(service, good)
    enrolled = await enrol(service, person, await service.sign_in(person))
    browser = Browser(service)
    answer = await sign_in(browser, next="/account/sessions")
    assert answer.headers["Location"] == "/login/factor?next=%2Faccount%2Fsessions"
    assert browser.cookie is None
    answer = await browser.post("/login/factor", kind="totp", code=enrolled.app.fresh(), next="/account/sessions")
    assert answer.headers["Location"] == "/account/sessions"
    assert (await last_event(service))[2]["method"] == "fed otp mfa"


@pytest.mark.asvs("6.8.4", "7.5.3")
async def test_an_old_session_of_the_provider_is_no_recent_sign_in(service: Service, good: Issuer) -> None:
    """`auth_time` counts: what needs a recent sign-in asks again, and the provider then has to ask, too."""
    await linked(service, good)
    browser = Browser(service)
    good.claims["auth_time"] = int(time.time()) - 3600
    await sign_in(browser)
    answer = await browser.post("/account/identities/link/other")
    assert answer.headers["Location"].startswith("/confirm")
    good.claims["auth_time"] = int(time.time())
    assert (await sign_in(browser, again="true", next="/account")).headers["Location"] == "/account"
    assert good.queries[-1]["max_age"] == "0"
    assert (await browser.post("/account/identities/link/other")).status_code == 200


@pytest.mark.asvs("6.3.1")
async def test_wrong_answers_are_limited_by_network(start: StartService, good: Issuer) -> None:
    """As wrong passwords are, beside them; right ones are not counted."""
    async with start(rate_limit_signin="2/15minutes") as service:
        browser, codes = Browser(service), []
        for _ in range(3):
            await begin(browser)
            codes.append((await browser.get("/login/callback/good?state=x&code=x")).status_code)
        assert codes == [400, 400, 429]
        assert (await service.try_sign_in("a@people.example", "wrong")).status_code == 401
        assert "/token" not in good.asked


@pytest.mark.asvs("6.3.1")
async def test_what_another_site_makes_a_browser_ask_for_keeps_nobody_out(start: StartService, good: Issuer) -> None:
    """An answer to what no browser began counts for nobody: a picture on any site could send it."""
    async with start(rate_limit_signin="2/15minutes") as service:
        stranger = Browser(service)
        codes = [(await stranger.get("/login/callback/good?state=x&code=x")).status_code for _ in range(5)]
        assert codes == [400] * 5
        assert "signin_failed" not in await actions(service)
        _, browser = await linked(service, good)
        await browser.post("/logout")
        assert (await sign_in(browser)).headers["Location"] == "/account"
        assert (await service.try_sign_in("a@people.example", "wrong")).status_code == 401


@pytest.mark.asvs("7.2.4")
async def test_the_session_before_ends(service: Service, good: Issuer) -> None:
    """Its cookie opens nothing any more."""
    _, browser = await linked(service, good)
    before = browser.cookie
    await sign_in(browser)
    assert before is not None
    assert browser.cookie not in {None, before}
    old = Browser(service)
    old.cookie = before
    assert (await old.get("/account")).status_code == 303


async def test_what_is_long_or_foreign_is_not_where_it_leads(service: Service, good: Issuer) -> None:
    """The page to go on to is of this service, and fits into the cookie."""
    await linked(service, good)
    for path in ("https://evil.example/", "//evil.example", "/" + "a" * 3000):
        assert (await sign_in(Browser(service), next=path)).headers["Location"] == "/account"
    path = "/account/sessions?cursor=" + "a" * 2400
    assert (await sign_in(Browser(service), next=path)).headers["Location"] == path


async def test_the_first_sign_in_is_safe_from_races(service: Service, good: Issuer) -> None:
    """Two at once make one account; both sign in, or one is told to begin again."""
    good.person |= {"email": "twice@people.example", "email_verified": True}
    browsers = [Browser(service) for _ in range(2)]
    paths = [await at_provider(await begin(browser)) for browser in browsers]
    codes = [(await browser.get(path)).status_code for browser, path in zip(browsers, paths, strict=True)]
    assert codes == [303, 303]


async def test_the_request_names_what_is_asked_for(service: Service, good: Issuer) -> None:
    """The address of the callback is that of `PUBLIC_URL`, whatever the `Host` was."""
    query = parse_qs(urlsplit(await begin(Browser(service))).query)
    assert query["redirect_uri"] == ["https://service.example/login/callback/good"]
    assert query["scope"] == ["openid email"]
    assert "max_age" not in query
