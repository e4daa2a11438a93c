"""The second factor of a provider, where a setting names what says that there was one."""

import time

import pytest

from app.access.roles import Role
from tests.conftest import StartService
from tests.features.factors.steps import enrol
from tests.features.identity.providers.issuer import Issuer
from tests.features.identity.steps import last_event, linked, sign_in
from tests.support.pages.browser import Browser, text_of

pytestmark = pytest.mark.anyio

URI = "https://refeds.org/profile/mfa"
NAMED = f"mfa, {URI}"
FACTOR_PAGE = "/login/factor?next=%2Faccount"
DAY = 24 * 3600


def ago(seconds: int) -> int:
    """The time so many seconds ago."""
    return int(time.time()) - seconds


@pytest.mark.asvs("6.3.3", "6.8.4")
async def test_what_is_named_counts_and_nothing_else(
    start: StartService, good: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value of `acr` or a member of `amr` in this spelling, with `auth_time` of the last day; else, one is asked."""
    monkeypatch.setenv("IDP_GOOD_SECOND_FACTOR", NAMED)
    async with start() as service:
        person, _ = await linked(service, good)
        await enrol(service, person, await service.sign_in(person))
        now = ago(0)
        counts: tuple[dict[str, object], ...] = (
            {"amr": ["pwd", "mfa"], "auth_time": now},
            {"acr": URI, "auth_time": now},
            {"acr": URI, "auth_time": now + 30},
        )
        asked: tuple[dict[str, object], ...] = (
            {"amr": ["pwd", "otp"], "auth_time": now},
            {"amr": ["MFA"], "auth_time": now},
            {"amr": [["mfa"], {"mfa": True}, 1, None], "auth_time": now},
            {"acr": ["mfa"], "auth_time": now},
            {"acr": {"mfa": True}, "auth_time": now},
            {"acr": f"{NAMED}", "auth_time": now},
            {"acr": f"{URI}/", "auth_time": now},
            {"acr": None, "amr": [], "auth_time": now},
            {"acr": URI, "amr": ["mfa"]},
            {"acr": URI, "auth_time": now - DAY},
            {"acr": URI, "auth_time": now + 3600},
            {"acr": URI, "auth_time": -1},
        )
        for claims, where in (*((said, "/account") for said in counts), *((said, FACTOR_PAGE) for said in asked)):
            good.claims = dict(claims)
            answer = await sign_in(Browser(service))
            assert answer.headers["Location"] == where, claims
            assert good.queries[-1]["max_age"] == str(DAY)
            if where == "/account":
                assert (await last_event(service))[2]["method"] == "fed mfa"
        good.claims = {"amr": "mfa", "auth_time": now}
        assert (await sign_in(Browser(service))).status_code == 502


@pytest.mark.asvs("6.8.4")
async def test_without_the_setting_no_word_of_a_provider_counts(
    start: StartService, issuers: dict[str, Issuer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if another provider has one."""
    monkeypatch.setenv("IDP_OTHER_SECOND_FACTOR", NAMED)
    good = issuers["good"]
    async with start() as service:
        person, _ = await linked(service, good)
        await enrol(service, person, await service.sign_in(person))
        good.claims = {"amr": ["mfa"], "acr": URI, "auth_time": ago(0)}
        assert (await sign_in(Browser(service))).headers["Location"] == FACTOR_PAGE


@pytest.mark.asvs("6.3.3", "6.8.4", "7.5.3")
async def test_it_is_as_old_as_the_provider_says(
    start: StartService, good: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens what a role demands one for; an hour later, what needs a recent sign-in asks the provider again."""
    monkeypatch.setenv("IDP_GOOD_SECOND_FACTOR", NAMED)
    async with start(require_second_factor_for="auditor") as service:
        person, _ = await linked(service, good)
        _, admin = await service.signed_in(Role.ADMIN)
        path, roles = f"/api/v1/users/{person.id}/roles", {"roles": ["auditor"]}
        assert (await service.client.put(path, json=roles, headers=admin.bearer)).status_code == 200
        one, both = Browser(service), Browser(service)
        await sign_in(one)
        assert (await one.get("/admin/audit")).status_code != 200
        good.claims = {"amr": ["mfa"], "auth_time": ago(3600)}
        await sign_in(both)
        assert (await both.get("/admin/audit")).status_code == 200
        answer = await both.post("/account/identities/link/other")
        assert answer.headers["Location"].startswith("/confirm")
        assert "Confirm it there, too" in (await both.get("/confirm")).text
        good.claims["auth_time"] = ago(0)
        await sign_in(both, again="true")
        assert good.queries[-1]["max_age"] == "0"
        assert (await both.post("/account/identities/link/other")).status_code == 200


@pytest.mark.asvs("7.5.3", "6.8.4")
async def test_who_has_the_second_factor_at_the_provider_confirms_there(
    start: StartService, good: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password is less than the session had: the page says so, and does not ask for a factor that is not there."""
    monkeypatch.setenv("IDP_GOOD_SECOND_FACTOR", NAMED)
    async with start() as service:
        person, _ = await linked(service, good)
        good.claims = {"acr": URI, "auth_time": ago(3600)}
        browser, onward = Browser(service), {"next": "/account/password"}
        await sign_in(browser)
        answer = await browser.post("/confirm", password=person.password, **onward)
        assert (answer.status_code, "sign in once more as you did" in text_of(answer)) == (409, True)
        assert 'action="/login/with/good"' in answer.text
        assert (await browser.get(onward["next"])).headers["Location"].startswith("/confirm")
        good.claims["auth_time"] = ago(0)
        answer = await sign_in(browser, **onward, again="true")
        assert answer.headers["Location"] == onward["next"]
        assert (await browser.get(onward["next"])).status_code == 200
