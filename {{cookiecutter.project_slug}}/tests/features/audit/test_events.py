"""What people do, over HTTP, as rows: who, what, on what, from where, with which session, how it ended."""

import json
from typing import Any

import pytest

from app.access.roles import Role
from tests.conftest import StartService
from tests.support.records.trail import actions, listed, stored, verified
from tests.support.service import Person, Service, Tokens

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.2.1", "16.3.1", "16.3.2")]

AGENT = {"User-Agent": "Trail/1.0"}
CANARY = "password canary 1234"


class People:
    """A member and an administrator who are signed in, and an auditor who reads what they do."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def arrive(self) -> None:
        """Sign in."""
        self.member, self.tokens = await self.service.signed_in()
        self.admin, self.admin_tokens = await self.service.signed_in(Role.ADMIN)
        _, self.auditor = await self.service.signed_in(Role.AUDITOR)

    async def session_of(self, tokens: Tokens) -> str:
        """The session that the tokens belong to."""
        items = (await self.service.client.get("/api/v1/sessions", headers=tokens.bearer)).json()["items"]
        current: str = next(item["id"] for item in items if item["current"])
        return current

    async def last(self, action: str) -> dict[str, Any]:
        """The newest row of an event."""
        return (await listed(self.service, self.auditor, action=action))[0]


@pytest.fixture
async def people(service: Service) -> People:
    """Who the tests are about."""
    arrived = People(service)
    await arrived.arrive()
    return arrived


def assert_row(row: dict[str, Any], request_id: str | None, **expected: object) -> None:
    """The row says this of itself, of the client of the test, and of the request."""
    assert {name: row[name] for name in expected} == expected
    assert (row["ip"], row["request_id"]) == ("127.0.0.1", request_id)


async def test_a_sign_in(people: People) -> None:
    """Who, with which new session and which client."""
    answer = await people.service.try_sign_in(people.member.email, people.member.password, headers=AGENT)
    row = await people.last("signin_succeeded")
    assert_row(
        row, answer.headers["x-request-id"], actor=str(people.member.id), outcome="success", details={"method": "pwd"}
    )
    assert row["user_agent"] == "Trail/1.0"
    assert row["session_id"] is not None
    assert row["target_id"] is None


async def test_a_sign_in_that_fails(people: People) -> None:
    """Nobody is said to have done it; the account is what it was done to, where there is one."""
    for email, target in ((people.member.email, str(people.member.id)), ("nobody@people.example", None)):
        answer = await people.service.try_sign_in(email, CANARY, headers=AGENT)
        row = await people.last("signin_failed")
        assert_row(
            row, answer.headers["x-request-id"], actor=None, outcome="failure", target_id=target, session_id=None
        )
        assert row["target_type"] == ("user" if target else None)


async def test_a_limit(start: StartService) -> None:
    """A refusal of the limiter is on record like any other."""
    async with start(rate_limit_signin="3/minute") as service:
        for _ in range(4):
            await service.try_sign_in("nobody@people.example", CANARY)
        assert (await actions(service)).count("signin_limited") == 1


async def test_refresh_and_reuse(people: People) -> None:
    """The error answer to a token that comes a second time rolls nothing back, neither the end nor the rows of it."""
    service, session = people.service, await people.session_of(people.tokens)
    answer = await service.refresh(people.tokens.refresh)
    row = await people.last("token_refreshed")
    assert_row(row, answer.headers["x-request-id"], actor=str(people.member.id), session_id=session, outcome="success")
    answer = await service.refresh(people.tokens.refresh)
    assert answer.status_code == 400
    reused, ended = await people.last("token_reused"), await people.last("session_ended")
    assert_row(reused, answer.headers["x-request-id"], actor=None, session_id=session, outcome="denied")
    assert_row(ended, answer.headers["x-request-id"], actor=None, target_type="session", target_id=session)
    assert ended["details"] == {"reason": "refresh token reused", "user_id": str(people.member.id)}
    assert (await service.whoami(people.tokens)).status_code == 401


async def test_revocation_and_sign_out(people: People) -> None:
    """The session that asks, and the session that it ends."""
    service, asking = people.service, await people.session_of(people.tokens)
    other = await service.sign_in(people.member)
    target = await people.session_of(other)
    answer = await service.client.post("/oauth/revoke", data={"token": other.refresh}, headers=people.tokens.bearer)
    who = {"actor": str(people.member.id), "session_id": asking, "outcome": "success", "target_type": "session"}
    assert_row(await people.last("token_revoked"), answer.headers["x-request-id"], target_id=target, **who)
    assert_row(await people.last("session_ended"), answer.headers["x-request-id"], target_id=target, **who)
    answer = await service.client.delete(f"/api/v1/sessions/{asking}", headers=people.tokens.bearer)
    assert_row(await people.last("signed_out"), answer.headers["x-request-id"], target_id=asking, **who)


async def test_what_is_refused(people: People) -> None:
    """Without credentials, and without the permission: the policy that refused is named."""
    service, session = people.service, await people.session_of(people.tokens)
    answer = await service.client.get("/api/v1/users", headers=people.tokens.bearer)
    row = await people.last("access_denied")
    details = {"policy": "Allow(users:read)"}
    assert_row(row, answer.headers["x-request-id"], actor=str(people.member.id), session_id=session, details=details)
    answer = await service.client.get("/api/v1/users", headers={"Authorization": f"Bearer {CANARY}"})
    row = await people.last("unauthenticated")
    assert_row(row, answer.headers["x-request-id"], actor=None, session_id=None, outcome="denied")


async def test_what_administrators_do(people: People) -> None:
    """The administrator is the actor of every row, of the sessions that end too; the member is what it is done to."""
    service, path = people.service, f"/api/v1/users/{people.member.id}"
    session, ended = await people.session_of(people.admin_tokens), await people.session_of(people.tokens)
    headers = people.admin_tokens.bearer
    who = {"actor": str(people.admin.id), "session_id": session, "outcome": "success"}
    whom = {"target_type": "user", "target_id": str(people.member.id)}
    answer = await service.client.put(f"{path}/roles", json={"roles": ["auditor", "member"]}, headers=headers)
    details = {"before": ["member"], "after": ["auditor", "member"]}
    assert_row(await people.last("roles_changed"), answer.headers["x-request-id"], details=details, **who, **whom)
    row = await people.last("session_ended")
    why = {"reason": "roles changed", "user_id": str(people.member.id)}
    assert_row(row, answer.headers["x-request-id"], target_type="session", target_id=ended, details=why, **who)
    for disabled, action in ((True, "account_disabled"), (False, "account_enabled")):
        answer = await service.client.patch(path, json={"disabled": disabled}, headers=headers)
        assert_row(await people.last(action), answer.headers["x-request-id"], details={}, **who, **whom)
    answer = await service.client.delete(path, headers=headers)
    assert_row(await people.last("account_deleted"), answer.headers["x-request-id"], details={}, **who, **whom)


async def test_a_password(people: People) -> None:
    """A change, and an attempt with a wrong current one."""
    service, session = people.service, await people.session_of(people.tokens)
    for current, outcome in ((CANARY, "failure"), (people.member.password, "success")):
        body = {"current_password": current, "new_password": f"new {CANARY}"}
        answer = await service.client.post("/api/v1/users/me/password", json=body, headers=people.tokens.bearer)
        row = await people.last("password_changed")
        who = {"actor": str(people.member.id), "session_id": session, "target_id": None}
        assert_row(row, answer.headers["x-request-id"], outcome=outcome, **who)


async def test_an_account_that_no_request_made(people: People) -> None:
    """Nobody's request, nobody's address."""
    row = await people.last("account_created")
    assert (row["actor"], row["ip"], row["request_id"], row["target_type"]) == (None, None, None, "user")
    assert row["details"] == {"roles": ["auditor"]}


async def test_what_is_refused_before_anybody_is_asked(start: StartService) -> None:
    """A foreign host, a foreign origin, a flood: each is on record."""
    async with start(rate_limit_default="6/minute") as service:
        await service.client.get("/nowhere", headers={"Host": "evil.example"})
        foreign = {"Cookie": "a=b", "Origin": "https://evil.example"}
        await service.client.post("/api/v1/signin", json={}, headers=foreign)
        for _ in range(7):
            await service.client.get("/nowhere")
        rows = await stored(service)
        assert [row["action"] for row in rows] == ["host_refused", "cross_origin_refused", "rate_limited"]
        assert {row["ip"] for row in rows} == {"127.0.0.1"}
        assert {row["outcome"] for row in rows} == {"denied"}


async def test_the_address_that_is_believed(start: StartService) -> None:
    """Behind a trusted proxy the client's own; from anybody else the header is text."""
    forwarded = {"X-Forwarded-For": "198.51.100.9"}
    for trusted, expected in ((("127.0.0.1/32",), "198.51.100.9"), ((), "127.0.0.1")):
        async with start(trusted_proxies=trusted) as service:
            await service.try_sign_in("nobody@people.example", CANARY, headers=forwarded)
            assert (await stored(service))[-1]["ip"] == expected


@pytest.mark.asvs("16.2.5", "16.4.1")
async def test_no_secret_and_no_long_or_unprintable_text_is_in_a_row(people: People) -> None:
    """Passwords, tokens and keys that are put where they do not belong: whatever a client sends is masked or cut."""
    service = people.service
    agent = f"eyJhbGciOiJIUzI1NiJ9.{'a' * 40}.{'b' * 43} \x1b[31m {people.tokens.refresh} {'long ' * 400}"
    for headers in ({"User-Agent": agent}, {"Authorization": f"Bearer {people.tokens.refresh}"}):
        answer = await service.try_sign_in(people.member.email, CANARY, headers=headers)
        assert answer.status_code == 401
        await service.client.get(f"/api/v1/users/{people.tokens.access}", headers=headers)
    for email in (CANARY, f"{CANARY}@people.example"):
        await service.try_sign_in(email, people.member.password)
    rows = await stored(service)
    text = json.dumps(rows, default=str)
    secrets = (
        CANARY,
        people.member.password,
        people.tokens.access,
        people.tokens.refresh,
        "a" * 40,
        "\x1b",
        people.member.email,
    )
    assert [secret for secret in secrets if secret in text] == []
    agents = [row["user_agent"] for row in rows if "long" in (row["user_agent"] or "")]
    assert [len(agent) <= 300 and agent.isprintable() for agent in agents] == [True, True]
    assert (await verified(service)).flaw is None


async def test_a_life_of_requests_leaves_one_chain_without_a_gap(people: People) -> None:
    """Rows are numbered one by one, in whatever way they were recorded, and the whole verifies."""
    service = people.service
    for person in (people.member, Person(people.admin.id, people.admin.email, CANARY)):
        await service.try_sign_in(person.email, person.password)
    rows = await stored(service)
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert (await verified(service)).rows == len(rows) == 8
