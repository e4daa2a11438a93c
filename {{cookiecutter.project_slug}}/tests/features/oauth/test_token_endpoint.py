"""`/oauth/token` and `/oauth/revoke` for the service's own sign-in."""

import asyncio
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.signin.models import RefreshToken
from tests.conftest import PUBLIC_URL, StartService
from tests.support.api.oauth import error_of, register_machine
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio


async def test_a_refresh_gives_new_tokens_that_work(service: Service) -> None:
    """Both are new, both hold, and the answer is not cached."""
    _, first = await service.signed_in()
    answer = await service.refresh(first.refresh)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    second = tokens_of(answer)
    assert second.refresh != first.refresh
    assert (await service.whoami(second)).status_code == 200


@pytest.mark.asvs("10.4.5")
async def test_reuse_ends_the_family_although_the_answer_is_an_error(service: Service) -> None:
    """The second use of a token kills what the first one got, and the session with it."""
    _, first = await service.signed_in()
    second = tokens_of(await service.refresh(first.refresh))
    reuse = await service.refresh(first.refresh)
    assert (reuse.status_code, reuse.json()["error"]) == (400, "invalid_grant")
    assert (await service.refresh(second.refresh)).json()["error"] == "invalid_grant"
    for tokens in (first, second):
        assert (await service.whoami(tokens)).status_code == 401


@pytest.mark.asvs("10.4.5", "2.3.4")
async def test_fifty_parallel_uses_of_one_token_leave_one_winner_and_a_dead_family(service: Service) -> None:
    """No race makes two chains out of one."""
    _, tokens = await service.signed_in()
    answers = await asyncio.gather(*(service.refresh(tokens.refresh) for _ in range(50)))
    winners = [answer for answer in answers if answer.status_code == 200]
    assert len(winners) == 1
    assert {answer.json()["error"] for answer in answers if answer.status_code == 400} == {"invalid_grant"}
    assert (await service.refresh(tokens_of(winners[0]).refresh)).status_code == 400
    assert (await service.whoami(tokens_of(winners[0]))).status_code == 401


@pytest.mark.asvs("15.4.2")
async def test_an_account_can_be_deleted_while_its_token_is_used(service: Service) -> None:
    """Both lock the session before the token: neither waits for the other in a circle."""
    (person, tokens), (_, admin) = await service.signed_in(), await service.signed_in(Role.ADMIN)
    async with service[Database].transaction() as db:
        await db.execute(select(RefreshToken).with_for_update())
        refresh = asyncio.create_task(service.refresh(tokens.refresh))
        await asyncio.sleep(0.3)
        deletion = asyncio.create_task(service.client.delete(f"/api/v1/users/{person.id}", headers=admin.bearer))
        await asyncio.sleep(0.3)
    assert (await refresh).status_code == 200
    assert (await deletion).status_code == 204
    assert (await service.refresh(tokens_of(await refresh).refresh)).status_code == 400


async def test_the_scope_can_be_narrowed_and_not_widened(service: Service) -> None:
    """A narrowed token can do less; asking for more than was granted uses nothing up."""
    _, tokens = await service.signed_in(Role.AUDITOR)
    widened = await service.refresh(tokens.refresh, scope="users:write")
    assert (widened.status_code, widened.json()["error"]) == (400, "invalid_scope")
    narrowed = await service.refresh(tokens.refresh, scope="account:read")
    assert narrowed.json()["scope"] == "account:read"
    bearer = tokens_of(narrowed).bearer
    assert (await service.client.get("/api/v1/users/me", headers=bearer)).status_code == 200
    refused = await service.client.get("/api/v1/users", headers=bearer)
    assert refused.status_code == 403
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="users:read"'


@pytest.mark.asvs("7.3.1", "7.3.2", "10.4.8")
async def test_sessions_end_when_idle_and_at_their_absolute_limit(start: StartService) -> None:
    """A session that is refreshed in time lives on, until it is too old however active it is."""
    async with start(session_idle_days=2, session_max_days=5) as service:
        _, idle = await service.signed_in()
        _, active = await service.signed_in()
        begin = utc_now()
        for hours in (40, 80, 118):
            with time_machine.travel(begin + timedelta(hours=hours), tick=False):
                answer = await service.refresh(active.refresh)
                assert answer.status_code == 200, hours
                active = tokens_of(answer)
                assert (await service.whoami(active)).status_code == 200
        with time_machine.travel(begin + timedelta(hours=49), tick=False):
            assert (await service.refresh(idle.refresh)).status_code == 400
        with time_machine.travel(begin + timedelta(hours=121), tick=False):
            assert (await service.refresh(active.refresh)).json()["error"] == "invalid_grant"
            assert (await service.whoami(active)).status_code == 401


@pytest.mark.asvs("10.4.4")
async def test_the_password_grant_is_off_by_default(service: Service, start: StartService) -> None:
    """RFC 9700 bans it: only the setting brings it back, with the same answer for every wrong credential."""
    person = await service.person()
    form = {"grant_type": "password", "username": person.email, "password": person.password}
    answer = await service.client.post("/oauth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    async with start(oauth_password_grant=True) as other:
        answer = await other.client.post("/oauth/token", data=form)
        assert set(answer.json()) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
        wrong = await other.client.post("/oauth/token", data={**form, "password": "wrong"})
        assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=rt_unknown", "invalid_grant"),
        ("grant_type=refresh_token&refresh_token=rt_" + "A" * 43, "invalid_grant"),
        ("grant_type=refresh_token&grant_type=refresh_token&refresh_token=x", "invalid_request"),
        ("grant_type=none", "unsupported_grant_type"),
    ],
)
async def test_errors_are_those_of_rfc_6749(service: Service, form: str, error: str) -> None:
    """400, a code of the RFC, and a description that repeats nothing."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await service.client.post("/oauth/token", content=form, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert set(answer.json()) == {"error", "error_description"}


async def test_a_json_body_is_no_form(service: Service) -> None:
    """RFC 6749 section 3.2: parameters come URL-encoded."""
    answer = await service.client.post("/oauth/token", json={"grant_type": "refresh_token"})
    assert answer.status_code == 415


@pytest.mark.parametrize("kind", ["access", "refresh"])
@pytest.mark.asvs("7.4.1", "10.4.9")
async def test_revoking_either_token_ends_the_session(service: Service, kind: str) -> None:
    """Access and refresh token are dead at the next request."""
    _, tokens = await service.signed_in()
    answer = await service.client.post("/oauth/revoke", data={"token": getattr(tokens, kind)}, headers=tokens.bearer)
    assert answer.status_code == 200
    assert (await service.whoami(tokens)).status_code == 401
    assert (await service.refresh(tokens.refresh)).status_code == 400


async def test_nobody_revokes_what_is_not_theirs(service: Service) -> None:
    """An anonymous caller is refused; somebody else's token, or no token at all, changes nothing and tells nothing."""
    _, mine = await service.signed_in()
    _, other = await service.signed_in()
    anonymous = await service.client.post("/oauth/revoke", data={"token": other.refresh})
    assert (anonymous.status_code, anonymous.json()["error"]) == (401, "invalid_client")
    for token in (other.refresh, other.access, "rt_" + "A" * 43, "nonsense"):
        answer = await service.client.post("/oauth/revoke", data={"token": token}, headers=mine.bearer)
        assert answer.status_code == 200
    assert (await service.whoami(other)).status_code == 200
    assert (await service.refresh(other.refresh)).status_code == 200


async def test_a_token_is_for_this_service(service: Service) -> None:
    """RFC 8707 section 2.2: the resource may be named several times, and no other one has tokens here."""
    machine = await register_machine(service)
    own, form = f"resource={PUBLIC_URL}", "grant_type=client_credentials"
    headers = machine.basic | {"Content-Type": "application/x-www-form-urlencoded"}
    for extra, status in (
        (own, 200),
        (f"{own}&{own}/", 200),
        ("resource=", 200),
        ("resource=https://other.example", 400),
    ):
        answer = await service.client.post("/oauth/token", content=f"{form}&{extra}", headers=headers)
        assert answer.status_code == status, extra
    assert error_of(answer) == (400, "invalid_target")
    both = await service.client.post("/oauth/token", content=f"{form}&{own}&resource=x", headers=headers)
    assert error_of(both) == (400, "invalid_target")
    twice = await service.client.post("/oauth/token", content=f"{form}&{form}", headers=headers)
    assert error_of(twice) == (400, "invalid_request")
