"""Bursts in `recorder.py`: refusals of one client are counted, so that strangers do not fill the disk."""

import asyncio
import json
from uuid import uuid4

import pytest

from app.access.guard import route_policies
from app.access.policies import ClientOrUser, Public
from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.events import EventRecord, RequestOrigin
from app.features.audit.models import AuditEvent
from app.features.audit.trail.append import Appender
from app.features.audit.trail.recorder import Bursts, Recorder
from app.http.request.base import HttpEvent
from tests.conftest import StartService
from tests.support.access import EVENT
from tests.support.api.oauth import register
from tests.support.records.trail import actions, keys_of, stored
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.3.3")]


def event_record(action: str = "unauthenticated", ip: str = "192.0.2.1") -> EventRecord:
    """A refusal of a client."""
    return EventRecord(
        EVENT[action], "denied", {"reason": "test"}, utc_now(), RequestOrigin(ip=ip, request_id="of-a-test")
    )


@pytest.mark.parametrize(
    ("headers", "status", "action", "details"),
    [
        ({"Host": "evil.example"}, 400, "host_refused", "{}"),
        ({}, 401, "unauthenticated", '{"reason":"no credentials"}'),
        ({"Cookie": "a=b", "Origin": "https://evil.example"}, 403, "cross_origin_refused", "{}"),
    ],
)
async def test_a_burst_of_refusals_is_two_rows(
    start: StartService, headers: dict[str, str], status: int, action: str, details: str
) -> None:
    """The first at once; the others are counted, and become one row at the latest when the service ends."""
    async with start() as service:
        for _ in range(50):
            answer = await service.client.request("DELETE", "/api/v1/users/me", headers=headers)
            assert answer.status_code == status
        assert await actions(service) == [action]
    async with start() as service:
        first, rest = await stored(service)
        counted = {**json.loads(details), "count": 49}
        assert (json.loads(first["details"]), json.loads(rest["details"])) == (json.loads(details), counted)
        assert (rest["action"], rest["ip"], rest["request_id"]) == (action, "127.0.0.1", None)


async def test_what_is_denied_to_a_user_is_counted_for_that_user(start: StartService) -> None:
    """An account costs a stranger little: their refusals are counted as those of anonymous clients are."""
    async with start() as service:
        people = [await service.signed_in() for _ in range(2)]
        for number in range(20):
            answer = await service.client.get("/api/v1/users", headers=people[number % 2][1].bearer)
            assert answer.status_code == 403
    async with start() as service:
        rows = await stored(service, AuditEvent.action == "access_denied")
        assert [row["actor_id"] for row in rows] == [person.id for person, _ in people] * 2
        assert [json.loads(row["details"]).get("count") for row in rows] == [None, None, 9, 9]


async def test_a_used_token_that_comes_again_and_again_is_counted(start: StartService) -> None:
    """The first time ends the session, and is on record with that; the next ones change nothing."""
    async with start() as service:
        _, tokens = await service.signed_in()
        await service.refresh(tokens.refresh)
        for _ in range(20):
            assert (await service.refresh(tokens.refresh)).status_code == 400
        assert (await actions(service)).count("token_reused") == 1
    async with start() as service:
        rows = await stored(service, AuditEvent.action == "token_reused")
        assert [json.loads(row["details"]) for row in rows] == [{}, {"count": 19}]
        assert (await actions(service)).count("session_ended") == 1


async def test_every_password_that_was_tried_is_a_row(start: StartService) -> None:
    """Failures have limits of their own; what these refuse is a burst."""
    async with start(rate_limit_signin="3/hour") as service:
        for _ in range(30):
            await service.try_sign_in("nobody@people.example", "wrong password canary")
        assert await actions(service) == ["signin_failed"] * 3 + ["signin_limited"]


async def test_no_request_of_a_stranger_is_a_row_each_time(start: StartService) -> None:
    """Every route that asks for no sign-in, 20 times with what gets far: its limit stops it, or it is a burst."""
    async with start(rate_limit_signin="3/hour") as service:
        public = await register(service, confidential=False)
        who = {"email": (await service.person()).email, "password": "wrong password canary"}
        mailed = {"token": "vrf_" + "A" * 43}
        bodies: dict[str, dict[str, str]] = {
            "/api/v1/accounts/verify": mailed,
            "/api/v1/accounts/email/confirm": mailed,
            "/api/v1/accounts/password/reset": mailed | {"new_password": "nine blue kites land"},
            "/api/v1/accounts/password/forgot": {"email": who["email"]},
            "/oauth/introspect": public.form | {"token": "x"},
            "/oauth/revoke": public.form | {"token": "x"},
            "/oauth/token": public.form | {"grant_type": "refresh_token", "refresh_token": "x"},
        }
        for method, path, policy in route_policies(service.app):
            if not isinstance(policy, Public | ClientOrUser) or "{" in path:
                continue
            body = bodies.get(path, who) if method == "POST" else None
            sent = {"json": body} if path.startswith("/api/") else {"data": body}
            before = len(await stored(service))
            for _ in range(20):
                await service.client.request(method, path, headers={"Sec-Fetch-Site": "same-origin"}, **sent)  # type: ignore[arg-type]  # one of two
            assert len(await stored(service)) - before <= 2 * 3, (method, path)


async def test_a_burst_ends_by_itself(service: Service) -> None:
    """When a window is over, its count is written; behind one without an event, the next is a row of its own again."""
    recorder = Recorder(service[Database], Appender(keys_of(service)), burst_seconds=0.2)
    for _ in range(3):
        await recorder.record([event_record(HttpEvent.RATE_LIMITED)])
    assert len(await stored(service)) == 1
    for _ in range(100):
        await asyncio.sleep(0.1)
        if len(await stored(service)) > 1:
            break
    await asyncio.sleep(1)
    await recorder.record([event_record(HttpEvent.RATE_LIMITED)])
    await recorder.close()
    assert [row["details"] for row in await stored(service)] == [
        '{"reason":"test"}',
        '{"count":2,"reason":"test"}',
        '{"reason":"test"}',
    ]


async def test_a_flood_that_goes_on_costs_ever_less() -> None:
    """Each window is twice as long as the one before, up to sixteen times the first."""
    done: list[EventRecord] = []
    bursts = Bursts(done.append, seconds=0.05)
    until = asyncio.get_running_loop().time() + 3.5
    firsts = sent = 0
    while asyncio.get_running_loop().time() < until:
        firsts += bursts.is_first(event_record())
        sent += 1
        await asyncio.sleep(0.01)
    bursts.end_all()
    assert firsts == 1
    assert len(done) <= 9
    counts = [each.fields["count"] for each in done]
    assert sum(count for count in counts if isinstance(count, int)) == sent - 1


async def test_a_flood_of_strangers_hides_nobody_who_is_known() -> None:
    """What is said of a user or a session is a row, and counted for them, however many strangers there are."""
    done: list[EventRecord] = []
    bursts = Bursts(done.append)
    for number in range(3000):
        bursts.is_first(event_record(ip=f"2001:db8:{number:x}::1"))
    actor, session = uuid4(), uuid4()
    denied = EventRecord(EVENT["access_denied"], "denied", {}, utc_now(), RequestOrigin(ip="192.0.2.1", actor_id=actor))
    reused = EventRecord(
        EVENT["token_reused"], "denied", {"session_id": session}, utc_now(), RequestOrigin(ip="192.0.2.1")
    )
    for event in (denied, reused):
        assert [bursts.is_first(event) for _ in range(3)] == [True, False, False]
    bursts.end_all()
    known = [(each.origin.ip, each.origin.actor_id, each.fields) for each in done[-2:]]
    assert known == [
        ("192.0.2.1", actor, {"count": 2}),
        ("192.0.2.1", None, {"session_id": session, "count": 2}),
    ]


async def test_the_addresses_of_one_network_are_one_client() -> None:
    """Whoever has a /64 has 2 ** 64 addresses, and costs no more than anybody else."""
    done: list[EventRecord] = []
    bursts = Bursts(done.append)
    firsts = [bursts.is_first(event_record(ip=f"2001:db8:0:1::{number:x}")) for number in range(100)]
    assert sum(firsts) == 1
    bursts.end_all()
    assert [each.fields["count"] for each in done] == [99]


async def test_so_many_clients_at_once_share_a_count() -> None:
    """What is kept in memory is bounded, whatever the number of addresses."""
    done: list[EventRecord] = []
    bursts = Bursts(done.append)
    firsts = [
        bursts.is_first(event_record(HttpEvent.HOST_REFUSED, f"2001:db8:{number:x}::1")) for number in range(3000)
    ]
    assert sum(firsts) == 1025
    bursts.end_all()
    assert [(each.origin.ip, each.fields["count"]) for each in done] == [(None, 1975)]
