"""A session that ends at the provider ends here: back-channel logout."""

import time
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from app.core.database.database import Database
from app.features.identity.models import IdentitySession
from app.features.identity.routes import Providers
from app.features.identity.service import IdentityService
from tests.conftest import StartService
from tests.features.factors.steps import enrol
from tests.features.identity.providers.issuer import CLIENT_ID, CLIENT_SECRET, KEY, LOGOUT_EVENT, OTHER_KEY, Issuer
from tests.features.identity.providers.test_lies import Lie, _text, _with_own_key, _with_secret, signed, signed_as
from tests.features.identity.steps import identity_ids, last_event, linked, sign_in
from tests.support.pages.browser import Browser
from tests.support.records.trail import actions
from tests.support.service import Service

pytestmark = pytest.mark.anyio

NOW = int(time.time())


async def log_out(service: Service, token: str, name: str = "good") -> httpx2.Response:
    """Send a logout token, as a provider does."""
    return await service.client.post(f"/oauth/backchannel-logout/{name}", data={"logout_token": token})


async def signed_in(service: Service, good: Issuer, sid: str | None = None) -> Browser:
    """A browser that the provider has signed in, in a session that it calls so."""
    good.claims["sid"] = sid
    browser = Browser(service)
    assert (await sign_in(browser)).headers["Location"] == "/account"
    return browser


async def alive(*browsers: Browser) -> list[bool]:
    """Which of them are signed in."""
    return [(await browser.get("/account")).status_code == 200 for browser in browsers]


@pytest.mark.asvs("7.6.1", "10.5.5", "16.3.3")
async def test_the_sessions_that_are_named_end(service: Service, good: Issuer) -> None:
    """By `sid`, by `sub` or by both; no session that a password opened, and none of somebody else."""
    _, by_password = await linked(service, good)
    one, two, three, four = [await signed_in(service, good, sid) for sid in ("1", "2", "3", None)]
    person = good.person
    good.person = {"sub": "another", "email": "another@people.example", "email_verified": True}
    another = await signed_in(service, good, "another")
    for claims, left in (
        ({"sid": "1"}, [False, True, True, True]),
        ({"sid": "another", "sub": person["sub"]}, [False, True, True, True]),
        ({"sid": "unknown"}, [False, True, True, True]),
        ({"sid": "2", "sub": person["sub"]}, [False, False, True, True]),
        ({"sub": person["sub"]}, [False, False, False, False]),
    ):
        answer = await log_out(service, good.logout_token(**claims))
        assert (answer.status_code, answer.content) == (200, b""), answer.text
        assert "no-store" in answer.headers["Cache-Control"]
        assert await alive(one, two, three, four) == left
    assert await alive(by_password, another) == [True, True]
    action, _, details = await last_event(service)
    assert (action, details["reason"]) == ("session_ended", "ended at its identity provider")


@pytest.mark.asvs("6.8.1", "10.5.5")
async def test_a_provider_ends_no_session_of_another_one(service: Service, issuers: dict[str, Issuer]) -> None:
    """Though it names the same subject and session; and its token is none of the other's."""
    good, other = issuers["good"], issuers["other"]
    await linked(service, good)
    browser = await signed_in(service, good, "1")
    claims = {"sub": good.person["sub"], "sid": "1"}
    assert (await log_out(service, other.logout_token(**claims), "other")).status_code == 200
    assert (await log_out(service, other.logout_token(**claims))).status_code == 400
    assert (await log_out(service, good.logout_token(**claims), "other")).status_code == 400
    assert (await log_out(service, good.logout_token(**claims), "nobody")).status_code == 404
    assert await alive(browser) == [True]


@pytest.mark.asvs("6.3.3", "7.6.1")
async def test_a_second_factor_keeps_no_session_from_its_end(service: Service, good: Issuer) -> None:
    """One that was opened by a code ends; one that waits for a code opens nothing any more."""
    person, _ = await linked(service, good)
    enrolled = await enrol(service, person, await service.sign_in(person))
    good.claims["sid"] = "1"
    browsers = Browser(service), Browser(service)
    for browser in browsers:
        assert (await sign_in(browser)).headers["Location"].startswith("/login/factor")
    code = {"kind": "totp", "code": enrolled.app.fresh()}
    assert (await browsers[0].post("/login/factor", **code)).headers["Location"] == "/account"
    assert await alive(*browsers) == [True, False]
    assert (await log_out(service, good.logout_token(sid="1"))).status_code == 200
    assert await alive(*browsers) == [False, False]
    code["code"] = enrolled.app.fresh()
    assert "done=signin-ended" in (await browsers[1].post("/login/factor", **code)).headers["Location"]
    async with service[Database].read() as db:
        assert (await db.scalars(select(IdentitySession))).all() == []


async def test_a_session_without_a_name_ends_by_its_subject_alone(service: Service, good: Issuer) -> None:
    """What is no name of a session keeps nobody from signing in."""
    await linked(service, good)
    browsers = [await signed_in(service, good, sid) for sid in (None, "", "s" * 256)]
    good.claims["sid"] = ["1"]
    browsers.append(Browser(service))
    await sign_in(browsers[-1])
    assert await alive(*browsers) == [True] * 4
    assert (await log_out(service, good.logout_token(sub=good.person["sub"]))).status_code == 200
    assert await alive(*browsers) == [False] * 4


async def test_what_is_unlinked_is_forgotten(service: Service, good: Issuer) -> None:
    """Who unlinks keeps the session, and the provider has no more to say about it."""
    await linked(service, good)
    browser = await signed_in(service, good, "1")
    (identity_id,) = await identity_ids(browser)
    await browser.post(f"/account/identities/{identity_id}/unlink")
    assert (await log_out(service, good.logout_token(sid="1", sub=good.person["sub"]))).status_code == 200
    assert await alive(browser) == [True]


TOKENS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an ID token": ({"typ": "JWT"}, {}),
    "no type": ({"typ": None}, {}),
    "an access token": ({"typ": "at+jwt"}, {}),
    "another issuer": ({}, {"iss": "https://accounts.google.com"}),
    "no issuer": ({}, {"iss": None}),
    "another audience": ({}, {"aud": "another"}),
    "two audiences and no azp": ({}, {"aud": [CLIENT_ID, "another"]}),
    "no audience": ({}, {"aud": None}),
    "expired": ({}, {"exp": NOW - 3600}),
    "no expiry": ({}, {"exp": None}),
    "an expiry that is no number": ({}, {"exp": "tomorrow"}),
    "from the future": ({}, {"iat": NOW + 3600}),
    "old": ({}, {"iat": NOW - 3600, "exp": NOW + 3600}),
    "no time": ({}, {"iat": None}),
    "a time that is no number": ({}, {"iat": [NOW]}),
    "no id": ({}, {"jti": None}),
    "an empty id": ({}, {"jti": ""}),
    "an id that is no text": ({}, {"jti": 1}),
    "no events": ({}, {"events": None}),
    "a list of events": ({}, {"events": [LOGOUT_EVENT]}),
    "an event as text": ({}, {"events": LOGOUT_EVENT}),
    "another event": ({}, {"events": {"http://schemas.openid.net/event/account-disabled": {}}}),
    "an event that is no object": ({}, {"events": {LOGOUT_EVENT: True}}),
    "a nonce": ({}, {"nonce": "one"}),
    "an empty nonce": ({}, {"nonce": ""}),
    "neither subject nor session": ({}, {"sub": None}),
    "a subject that is no text": ({}, {"sub": ["one"]}),
    "a session that is no text": ({}, {"sid": {"a": 1}}),
    "an empty session": ({}, {"sid": ""}),
    "a long subject": ({}, {"sub": "s" * 256}),
    "a subject with a NUL": ({}, {"sub": "a\0b"}),
    "a session with a NUL": ({}, {"sid": "a\0b"}),
    "an unknown key": ({"kid": "nobody's"}, {}),
}
SIGNATURES: dict[str, Lie] = {
    "another key": lambda issuer: setattr(issuer, "key", OTHER_KEY),
    "a key of its own in the header": _with_own_key,
    "no signature": signed(lambda header, said: _text(header | {"alg": "none"}, said) + "."),
    "HS256 with the public key": _with_secret(KEY.as_pem(private=False)),
    "HS256 with the secret of the client": _with_secret(CLIENT_SECRET.encode()),
    "an id with half of a character": signed(lambda header, said: signed_as(header, said | {"jti": "\ud800"})),
    "a type that is no text": signed(lambda header, said: signed_as(header | {"typ": ["logout+jwt"]}, said)),
    "an unknown critical header": signed(lambda header, said: signed_as(header | {"crit": ["exp"], "exp": 1}, said)),
    "no JWT": signed(lambda *_: "nothing"),
    "three dots": signed(lambda *_: "..."),
    "no text": signed(lambda *_: "\u2028\U0001f600"),
}


@pytest.mark.asvs("9.1.1", "9.1.2", "9.2.2", "10.5.5", "16.3.3")
async def test_a_lie_ends_no_session(service: Service, good: Issuer) -> None:
    """400 as RFC 6749 has it, with the reason for the operator alone, and each time on record."""
    await linked(service, good)
    browser, person = await signed_in(service, good, "1"), good.person
    cases: list[tuple[str, dict[str, Any], dict[str, Any], Lie]] = [
        *((name, header, claims, lambda _: None) for name, (header, claims) in TOKENS.items()),
        *((name, {}, {}, lie) for name, lie in SIGNATURES.items()),
    ]
    for name, header, claims, lie in cases:
        good.reset()
        good.person = person
        lie(good)
        token = good.logout_token({**good.header, **header}, **{"sub": person["sub"], **claims})
        answer = await log_out(service, token)
        assert answer.status_code == 400, name
        assert answer.json() == {
            "error": "invalid_request",
            "error_description": "The logout token is refused.",
        }, name
        assert await alive(browser) == [True], name
    assert "provider_logout_refused" in await actions(service)
    good.reset()
    assert (await log_out(service, good.logout_token(sub=person["sub"]))).status_code == 200
    assert await alive(browser) == [False]


@pytest.mark.asvs("10.5.5", "16.5.2")
async def test_a_token_is_for_one_use_and_waits_for_the_provider_and_for_the_database(
    service: Service, good: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not used up while its keys cannot be fetched, nor if the sessions cannot be ended."""
    await linked(service, good)
    browser, token = await signed_in(service, good), good.logout_token(sub=good.person["sub"])
    service[Providers]["good"]._keys = None  # noqa: SLF001  # as after an hour
    good.answers["/keys"] = lambda: (503, {}, b"")
    answer = await log_out(service, token)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    good.answers.clear()

    async def fail(*_: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as broken:
        broken.setattr(service[IdentityService], "end_sessions", fail)
        assert (await log_out(service, token)).status_code == 500
    assert (await log_out(service, token)).status_code == 200
    assert await alive(browser) == [False]
    again = await signed_in(service, good)
    assert (await log_out(service, token)).status_code == 400
    assert await alive(again) == [True]
    action, _, details = await last_event(service)
    assert (action, details) == ("provider_logout_refused", {"provider": "good", "reason": "it was used before"})


@pytest.mark.asvs("2.4.1", "4.1.1", "5.2.1")
async def test_wrong_tokens_are_limited_and_right_ones_are_not(start: StartService, good: Issuer) -> None:
    """Sixty a minute of one network; what is no form of a bounded size is refused before."""
    async with start() as service:
        path, form = "/oauth/backchannel-logout/good", {"logout_token": "a" * 17_000}
        assert (await service.client.post(path, data=form)).status_code == 413
        assert (await service.client.post(path, data={"logout_token": "a" * 9_000})).status_code == 400
        assert (await service.client.post(path, data={"token": "a"})).status_code == 400
        assert (await service.client.post(path, json={"logout_token": "a"})).status_code == 415
        assert (await service.client.get(path)).status_code == 405
        for _ in range(70):
            assert (await log_out(service, good.logout_token(sub="nobody"))).status_code == 200
        codes = [(await log_out(service, "wrong")).status_code for _ in range(61)]
        assert codes == [400] * 60 + [429]
        assert (await log_out(service, good.logout_token(sub="nobody"))).status_code == 429


async def test_a_challenge_that_nobody_answers_is_purged(service: Service, good: Issuer) -> None:
    """And what a session came from goes with it."""
    person, _ = await linked(service, good)
    await signed_in(service, good, "1")
    await enrol(service, person, await service.sign_in(person))
    await sign_in(Browser(service))
    later = datetime.fromtimestamp(NOW + 3600, UTC)
    name = "unfinished sign-ins with providers"
    assert await service.purge(name, before=datetime.fromtimestamp(NOW - 3600, UTC), limit=9) == 0
    assert await service.purge(name, before=later, limit=9) == 1
