"""`app/features/browser/`: what a cookie opens, for how long, and what it never opens."""

import asyncio
import hashlib
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import uuid4

import pytest
import time_machine
from sqlalchemy import Connection, Uuid, bindparam, text

from app.access.roles import Role
from app.core.database.database import Database
from app.features.browser.cookie import NAME
from app.features.browser.service import BrowserSessions
from app.features.sessions.service import NewSession
from tests.conftest import StartService
from tests.support.pages.browser import FORM, Browser, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"


async def test_a_cookie_is_as_good_as_a_token(service: Service) -> None:
    """Signed in with the form, a browser reads what is its user's own, over the API too."""
    browser, person = Browser(service), await service.person()
    assert (await browser.get(ME, headers={"Accept": "*/*"})).status_code == 401
    assert (await browser.sign_in(person)).status_code == 303
    assert (await browser.get(ME)).json()["email"] == person.email


@pytest.mark.asvs("3.3.1", "3.3.2", "3.3.3", "3.3.4")
async def test_the_cookie_has_every_attribute(service: Service) -> None:
    """`__Host-`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`, no `Domain`; its 256 bits are not kept in clear."""
    browser = Browser(service)
    answer = await browser.sign_in(await service.person())
    name, *attributes = (part.strip() for part in answer.headers["Set-Cookie"].split(";"))
    assert name == f"{NAME}={browser.cookie}"
    assert {attribute.lower() for attribute in attributes} == {"httponly", "path=/", "samesite=lax", "secure"}
    assert browser.cookie is not None
    assert len(browser.cookie) == 43
    async with service[Database].read() as db:
        kept = (await db.execute(text("SELECT id_hash, sealed FROM browser_sessions"))).one()
    assert bytes(kept.id_hash) == hashlib.sha256(browser.cookie.encode()).digest()
    assert browser.cookie.encode() not in bytes(kept.sealed)


@pytest.mark.asvs("7.2.3")
async def test_no_two_ids_are_alike(service: Service) -> None:
    """Ten thousand ids: each once, of 256 bits, and no place in them where they share more than chance gives."""

    class Nowhere:
        def execute(self, *_: object) -> None:
            """Keep nothing."""

    browsers = service[BrowserSessions]
    started = NewSession(uuid4(), uuid4(), datetime.now(UTC), "", "pwd", None)
    ids = {browsers.attach(cast("Connection", Nowhere()), started) for _ in range(10_000)}
    assert len(ids) == 10_000
    assert {len(value) for value in ids} == {43}
    for place in range(42):
        most = max(Counter(value[place] for value in ids).values())
        assert most < 300, place  # 156 of each of 64 characters are to be expected


@pytest.mark.asvs("10.1.1")
async def test_a_browser_is_given_no_token(service: Service) -> None:
    """Neither an access token nor a refresh token is in a page, a header or the cookie after signing in there."""
    browser = Browser(service)
    answers = [await browser.sign_in(await service.person())]
    answers += [await browser.get(path) for path in ("/account", "/account/sessions", "/account/applications")]
    for answer in answers:
        sent = answer.text + str(answer.headers)
        assert not re.search(r"eyJ[\w-]+\.|\brt_[\w-]{20}|access_token", sent)


@pytest.mark.asvs("7.2.2")
async def test_a_secret_that_does_not_change_is_no_session(service: Service) -> None:
    """The secret of a client opens nothing by itself, as a cookie or as a token: it is exchanged for one that ends."""
    _, admin = await service.signed_in(Role.ADMIN)
    new = {"name": "Job", "scope": "account:read", "grants": ["client_credentials"], "roles": ["member"]}
    secret = (await service.client.post("/api/v1/clients", json=new, headers=admin.bearer)).json()["client_secret"]
    for headers in ({"Authorization": f"Bearer {secret}"}, {"Cookie": f"{NAME}={secret}"}, {"X-Api-Key": secret}):
        assert (await service.client.get(ME, headers=headers)).status_code == 401


@pytest.mark.asvs("7.2.1", "7.2.4")
async def test_an_id_that_was_not_issued_is_never_adopted(service: Service) -> None:
    """An id of the attacker's choice opens nothing before the victim signs in, and nothing afterwards."""
    browser, person, planted = Browser(service), await service.person(), "A" * 43
    browser.cookie = planted
    assert (await browser.get("/confirm")).headers["Location"].startswith("/login")
    assert (await browser.sign_in(person)).status_code == 303
    assert browser.cookie != planted
    attacker = Browser(service)
    attacker.cookie = planted
    assert (await attacker.get(ME, headers={"Accept": "*/*"})).status_code == 401


@pytest.mark.asvs("7.2.4", "7.5.3")
async def test_the_id_is_another_one_after_every_proof(service: Service) -> None:
    """Signing in again and confirming the password each give a new id, and the one before opens nothing."""
    browser, person = Browser(service), await service.person()
    seen = []
    await browser.sign_in(person)
    seen.append(browser.cookie)
    await browser.sign_in(person)
    seen.append(browser.cookie)
    assert (await browser.post("/confirm", password=person.password)).status_code == 303
    assert browser.cookie not in seen
    assert len(set(seen)) == 2
    for old in seen:
        thief = Browser(service)
        thief.cookie = str(old)
        assert (await thief.get(ME, headers={"Accept": "*/*"})).status_code == 401
    assert (await browser.get(ME)).status_code == 200


@pytest.mark.asvs("7.4.1", "14.3.1")
async def test_signing_out_kills_the_session(service: Service) -> None:
    """After signing out, the cookie is gone from the browser, and a copy of it opens nothing."""
    browser = Browser(service)
    await browser.sign_in(await service.person())
    copy = str(browser.cookie)
    answer = await browser.post("/logout")
    assert answer.status_code == 303
    assert answer.headers["Clear-Site-Data"] == '"storage"'
    assert browser.cookie is None
    browser.cookie = copy
    assert (await browser.get(ME, headers={"Accept": "*/*"})).status_code == 401


@pytest.mark.asvs("7.4.2", "7.4.3", "7.5.2")
async def test_ends_by_the_same_events_as_every_session(service: Service) -> None:
    """It is in the list of sessions, and ends by that list, a change of password, of roles, and disabling."""
    _, admin = await service.signed_in(Role.ADMIN)
    for event in ("list", "password", "roles", "disabled"):
        browser, person = Browser(service), await service.person()
        tokens = await service.sign_in(person)
        await browser.sign_in(person, next="/")
        sessions = (await service.client.get("/api/v1/sessions", headers=tokens.bearer)).json()["items"]
        assert [session["current"] for session in sessions].count(True) == 1
        assert len(sessions) == 2
        if event == "list":
            other = next(session["id"] for session in sessions if not session["current"])
            answer = await service.client.delete(f"/api/v1/sessions/{other}", headers=tokens.bearer)
        elif event == "password":
            change = {"current_password": person.password, "new_password": "another long pass phrase 7"}
            answer = await service.client.post("/api/v1/users/me/password", json=change, headers=tokens.bearer)
        elif event == "roles":
            path = f"/api/v1/users/{person.id}/roles"
            answer = await service.client.put(path, json={"roles": ["auditor"]}, headers=admin.bearer)
        else:
            path = f"/api/v1/users/{person.id}"
            answer = await service.client.patch(path, json={"disabled": True}, headers=admin.bearer)
        assert answer.status_code in {200, 204}, answer.text
        assert (await browser.get(ME, headers={"Accept": "*/*"})).status_code == 401, event


@pytest.mark.asvs("7.3.1", "7.3.2")
async def test_ends_when_idle_and_when_old(start: StartService) -> None:
    """What is in use stays; what is not ends after the idle limit, and everything at the absolute one."""
    async with start(session_idle_days=2, session_max_days=5) as service:
        browser, person = Browser(service), await service.person()
        await browser.sign_in(person)
        begin = datetime.now(UTC)
        for days, status in ((1.5, 200), (3, 200), (4.5, 200), (5.1, 401)):
            with time_machine.travel(begin + timedelta(days=days), tick=False):
                # Twice: after the first, nothing is written, and what was read is known.
                for _ in range(2):
                    assert (await browser.get(ME, headers={"Accept": "*/*"})).status_code == status, days
        idle = Browser(service)
        await idle.sign_in(person)
        assert (await idle.get(ME, headers={"Accept": "*/*"})).status_code == 200
        with time_machine.travel(datetime.now(UTC) + timedelta(days=2, minutes=1), tick=False):
            assert (await idle.get(ME, headers={"Accept": "*/*"})).status_code == 401


async def test_use_is_noted_at_most_once_a_minute(service: Service) -> None:
    """However many requests there are: reading is no reason to write each time."""
    browser = Browser(service)
    await browser.sign_in(await service.person())
    begin, moments = datetime.now(UTC), []
    for seconds in (30, 70, 100, 140):
        with time_machine.travel(begin + timedelta(seconds=seconds), tick=False):
            assert (await browser.get(ME)).status_code == 200
        async with service[Database].read() as db:
            moments.append(await db.scalar(text("SELECT last_seen_at FROM sessions")))
    assert len(set(moments)) == 3
    assert moments[1] == moments[2]


@pytest.mark.asvs("3.5.1")
async def test_forms_of_other_origins_are_refused(service: Service) -> None:
    """The form to sign in too, which needs no cookie; nothing of it is done."""
    browser, person = Browser(service), await service.person()
    fields = {"email": person.email, "password": person.password}
    evil = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    for headers in ({}, evil, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}):
        answer = await browser.client.post("/login", data=fields, headers={"Accept": "text/html", **headers})
        assert answer.status_code == 403
        assert browser.cookie is None
    assert (await browser.client.post("/login", data=fields, headers=FORM)).status_code == 303
    for headers in ({}, evil):
        assert (await browser.client.post("/logout", headers=headers)).status_code == 403
        assert (await browser.client.patch(ME, json={"display_name": "Eve"}, headers=headers)).status_code == 403
    assert (await browser.get(ME)).json()["display_name"] is None


@pytest.mark.asvs("11.3.3")
async def test_a_row_that_somebody_else_wrote_opens_nothing(service: Service) -> None:
    """Whoever can write to the database, but has no key, makes no session out of it: not another's, not a later one."""
    mine, member = Browser(service), await service.person()
    theirs, admin = Browser(service), await service.person(Role.ADMIN)
    await mine.sign_in(member)
    await theirs.sign_in(admin)
    known = hashlib.sha256(b"B" * 43).digest()
    # The hash of a cookie that the attacker knows, at the row of somebody else; then a session of the attacker's own,
    # given to somebody else.
    attacks: tuple[tuple[str, dict[str, object], str], ...] = (
        (
            """UPDATE browser_sessions SET id_hash = :known
            WHERE session_id = (SELECT id FROM sessions WHERE user_id = :admin)""",
            {"known": known},
            "B" * 43,
        ),
        ("UPDATE sessions SET user_id = :admin WHERE user_id = :member", {"member": member.id}, str(mine.cookie)),
    )
    for statement, values, cookie in attacks:
        given = values | {"admin": admin.id}
        ids = [bindparam(name, type_=Uuid()) for name in given if name != "known"]
        async with service[Database].transaction() as db:
            await db.execute(text(statement).bindparams(*ids), given)
        thief = Browser(service)
        thief.cookie = cookie
        assert (await thief.get(ME, headers={"Accept": "*/*"})).status_code == 401, statement


async def test_confirming_beside_other_requests_is_no_forgery(service: Service) -> None:
    """Pages that are loaded while the password is confirmed find the old cookie or the new one, and accuse nobody."""
    browser, person = Browser(service), await service.person()
    await browser.sign_in(person)
    for _ in range(5):
        loading = [browser.get(ME, headers={"Accept": "*/*"}) for _ in range(8)]
        confirmed, *answers = await asyncio.gather(browser.post("/confirm", password=person.password), *loading)
        assert confirmed.status_code == 303
        assert {answer.status_code for answer in answers} <= {200, 401}
    _, admin = await service.signed_in(Role.ADMIN)
    forged = await service.client.get("/api/v1/audit", params={"action": "session_forged"}, headers=admin.bearer)
    assert forged.json()["items"] == []


@pytest.mark.parametrize(
    "header",
    [f"{NAME}={'A' * 42}", f"{NAME}={'A' * 44}", f"{NAME}=", NAME, f"{NAME}={'é' * 43}", f"{NAME}=%41{'A' * 40}"],
)
async def test_anything_else_is_no_cookie(service: Service, header: str) -> None:
    """What was never issued is not looked up, and is no crash."""
    answer = await service.client.get(ME, headers=[(b"Cookie", header.encode("latin-1"))])
    assert answer.status_code == 401


async def test_two_cookies_have_no_meaning(service: Service) -> None:
    """Where a browser sends two, nobody can tell whose the second one is."""
    browser = Browser(service)
    await browser.sign_in(await service.person())
    both = f"{NAME}={browser.cookie}; {NAME}={'A' * 43}"
    assert (await service.client.get(ME, headers={"Cookie": both})).status_code == 401


@pytest.mark.asvs("7.2.4", "7.4.3")
async def test_a_change_of_password_through_the_api_ends_a_copy_of_the_cookie(service: Service) -> None:
    """As the page does: the browser goes on with a new id, and who copied the old one has nothing."""
    person, browser = await with_browser(service)
    thief = Browser(service)
    thief.cookie = str(browser.cookie)
    body = {"current_password": person.password, "new_password": "another long pass phrase 7"}
    path = f"{ME}/password"
    answer = await browser.client.post(path, json=body, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 204
    assert (await browser.get(ME)).status_code == 200
    assert (await thief.get(ME)).status_code == 401
