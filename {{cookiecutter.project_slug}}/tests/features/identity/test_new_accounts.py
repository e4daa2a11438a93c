"""For whom a provider makes an account: `REGISTRATION`, and the domains of a provider."""

import pytest

from app.access.roles import Role
from tests.conftest import StartService
from tests.features.identity.providers.issuer import Issuer
from tests.features.identity.steps import sign_in
from tests.support.pages.browser import Browser, text_of

pytestmark = pytest.mark.anyio

ALLOWED = "Corp.example, bücher.example"
UNKNOWN, UNVERIFIED = "No account is linked with it. Sign in", "has not verified an e-mail address"
CORP = "corp.example"
REFUSED: list[tuple[dict[str, object], str]] = [
    ({"email": "a@sub.corp.example"}, UNKNOWN),
    ({"email": "a@notcorp.example"}, UNKNOWN),
    ({"email": "a@corp.example.evil.example"}, UNKNOWN),
    ({"email": "a@evil.example"}, UNKNOWN),
    # What Google and Entra say besides.
    ({"email": "a@evil.example", "hd": CORP, "tid": CORP, "upn": f"a@{CORP}"}, UNKNOWN),
    ({"email": f"a@{CORP}", "email_verified": None, "hd": CORP}, UNVERIFIED),
    ({"email": f"a@{CORP}", "email_verified": False, "xms_edov": True}, UNVERIFIED),
    ({"email": f"a@{CORP}", "email_verified": "true"}, UNVERIFIED),
    ({"email": None, "upn": f"a@{CORP}"}, UNVERIFIED),
    ({"email": f'"a@{CORP}"@evil.example'}, UNVERIFIED),
    ({"email": f"a@evil.example,a@{CORP}"}, UNVERIFIED),
    ({"email": f"a@{CORP}>, <b@evil.example"}, UNVERIFIED),
    ({"email": "a@cоrp.example"}, UNVERIFIED),  # noqa: RUF001  # with a Cyrillic letter
]


@pytest.mark.asvs("6.8.1")
@pytest.mark.parametrize("registration", ["closed", "open"])
async def test_domains_that_are_named_alone_make_accounts(
    start: StartService, good: Issuer, monkeypatch: pytest.MonkeyPatch, registration: str
) -> None:
    """In any spelling, whatever `REGISTRATION` is; no other, no part of one, and no claim but a verified address."""
    monkeypatch.setenv("IDP_GOOD_DOMAINS", ALLOWED)
    async with start(registration=registration) as service:
        for number, said in enumerate(("a@CORP.example", "b@xn--bcher-kva.example", "c@BÜCHER.example")):
            good.person = {"sub": f"allowed {number}", "email": said, "email_verified": True}
            browser = Browser(service)
            assert (await sign_in(browser)).status_code == 303, said
            assert "member" in (await browser.get("/account")).text
        for claims, words in REFUSED:
            good.person = {"sub": "refused", "email_verified": True, **claims}
            browser = Browser(service)
            answer = await sign_in(browser)
            assert answer.status_code == 403, claims
            assert words in text_of(answer), claims
            assert browser.cookie is None


@pytest.mark.asvs("6.8.1")
async def test_a_domain_takes_over_no_account_and_is_of_its_provider_alone(
    start: StartService, issuers: dict[str, Issuer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has an account there links it; another provider makes none for the domain."""
    monkeypatch.setenv("IDP_GOOD_DOMAINS", CORP)
    async with start(registration="closed") as service:
        person = await service.person(email=f"known@{CORP}")
        for issuer in issuers.values():
            issuer.person |= {"email": person.email, "email_verified": True}
        assert "Sign in with your password, and link it" in text_of(await sign_in(Browser(service)))
        issuers["other"].person["email"] = f"new@{CORP}"
        answer = await sign_in(Browser(service), "/login/with/other")
        assert answer.status_code == 403
        assert UNKNOWN in text_of(answer)


@pytest.mark.asvs("6.8.1")
async def test_what_was_never_confirmed_keeps_no_owner_out(start: StartService, good: Issuer) -> None:
    """A stranger registers the address; its owner comes with a provider, and the stranger's password opens nothing."""
    async with start(registration="open") as service:
        registered = {"email": "victim@people.example", "password": "unrelated words of a song"}
        assert (await service.client.post("/api/v1/accounts", json=registered)).status_code == 202
        good.person |= {"email": registered["email"], "email_verified": True}
        browser = Browser(service)
        assert (await sign_in(browser)).status_code == 303
        assert registered["email"] in (await browser.get("/account")).text
        assert (await service.try_sign_in(*registered.values())).status_code == 401


@pytest.mark.asvs("6.2.3", "7.5.1")
async def test_an_account_without_a_password_can_be_deleted(start: StartService, good: Issuer) -> None:
    """A recent sign-in with the provider stands in for the password; a wrong password does not."""
    async with start(registration="open") as service:
        good.person |= {"email": "new@people.example", "email_verified": True}
        browser = Browser(service)
        await sign_in(browser)
        assert (await browser.post("/account/delete", current_password="anything")).status_code == 403
        assert (await browser.post("/account/delete", current_password="")).headers[
            "Location"
        ] == "/?done=account-deleted"
        assert (await browser.get("/account")).headers["Location"].startswith("/login")


@pytest.mark.asvs("6.3.4", "6.8.1")
async def test_an_account_that_was_disabled_before_it_was_confirmed_stays(start: StartService, good: Issuer) -> None:
    """An administrator keeps an address out: no provider opens another account for it."""
    async with start(registration="open") as service:
        _, admin = await service.signed_in(Role.ADMIN)
        registered = {"email": "unwanted@people.example", "password": "unrelated words of a song"}
        assert (await service.client.post("/api/v1/accounts", json=registered)).status_code == 202
        found = await service.client.get("/api/v1/users?q=unwanted", headers=admin.bearer)
        path = f"/api/v1/users/{found.json()['items'][0]['id']}"
        assert (await service.client.patch(path, json={"disabled": True}, headers=admin.bearer)).status_code == 200
        good.person |= {"email": registered["email"], "email_verified": True}
        browser = Browser(service)
        assert (await sign_in(browser)).status_code == 403
        assert browser.cookie is None
        assert (await service.client.get(path, headers=admin.bearer)).json()["disabled"] is True
