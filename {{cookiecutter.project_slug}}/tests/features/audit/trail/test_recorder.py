"""When rows are written: with their cause, before the answer, many at once, and never without a bound."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import pytest
from sqlalchemy import Connection, Engine, event
from structlog.testing import capture_logs

from app.access.guard import AccessEvent
from app.access.policies import Public, policy
from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.errors import Unavailable
from app.core.events import EventRecord, RequestOrigin, emit_event
from app.features.accounts.events import AccountEvent
from app.features.audit.service import AuditTrail
from app.features.audit.trail import recorder as recording
from app.features.audit.trail.append import Appender, lock_heads, unavailable
from app.features.audit.trail.recorder import Recorder
from tests.conftest import StartService
from tests.support.access import EVENT
from tests.support.records.trail import actions, disarm, execute, keys_of, stored, trail_of, verified
from tests.support.service import Service

pytestmark = pytest.mark.anyio


class Commits:
    """How many transactions were committed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: object) -> None:
        """Count one."""
        self.count += 1


@contextmanager
def counted_commits() -> Iterator[Commits]:
    """Count the transactions of every engine."""
    commits = Commits()
    event.listen(Engine, "commit", commits)
    try:
        yield commits
    finally:
        event.remove(Engine, "commit", commits)


def event_record(action: str = "unauthenticated", ip: str = "192.0.2.1") -> EventRecord:
    """An event of a client."""
    return EventRecord(
        EVENT[action], "denied", {"reason": "test"}, utc_now(), RequestOrigin(ip=ip, request_id="of-a-test")
    )


async def test_a_sign_in_is_one_transaction_and_a_look_is_none(service: Service) -> None:
    """The row is committed together with the session that it tells of; a request without an event writes nothing."""
    person = await service.person()
    with counted_commits() as commits:
        tokens = await service.sign_in(person)
        assert commits.count == 1
        await service.whoami(tokens)
        assert commits.count == 1
        assert (await service.refresh(tokens.refresh)).status_code == 200
        assert commits.count == 2


def client_number(number: int) -> dict[str, str]:
    """The header with which a trusted proxy names a client."""
    return {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250 + 1}"}


@pytest.fixture
async def proxied(start: StartService) -> AsyncIterator[Service]:
    """The application behind a proxy, so that requests can come from many clients."""
    async with start(trusted_proxies=("127.0.0.1/32",)) as running:
        yield running


async def test_a_flood_of_refusals_is_a_handful_of_transactions(proxied: Service) -> None:
    """Every one of 300 clients is on record when it is answered, in far fewer transactions."""
    service = proxied
    asking = [service.client.get("/api/v1/users/me", headers=client_number(number)) for number in range(300)]
    with counted_commits() as commits:
        answers = await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {401}
    rows = await stored(service)
    assert {row["request_id"] for row in rows} == {answer.headers["x-request-id"] for answer in answers}
    assert len(rows) == 300
    assert commits.count <= 30
    assert (await verified(service)).flaw is None


async def test_a_refusal_is_on_record_when_it_is_answered(service: Service) -> None:
    """Not some time later: a failure every time, a refusal for the first time."""
    for expected in range(1, 4):
        answer = await service.try_sign_in("nobody@people.example", "wrong password canary")
        rows = await stored(service)
        assert len(rows) == expected
        assert rows[-1]["request_id"] == answer.headers["x-request-id"]


@asynccontextmanager
async def stalled_trail(service: Service) -> AsyncIterator[None]:
    """A block during which somebody else holds the end of the trail."""
    held, over = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with service[Database].transaction() as db:
            await (await db.connection()).run_sync(lock_heads)
            held.set()
            await over.wait()

    holding = asyncio.create_task(hold())
    await held.wait()
    yield
    over.set()
    await holding


@pytest.mark.asvs("15.2.2")
async def test_beyond_the_queue_a_request_is_refused(proxied: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with `Retry-After`, at once; those that have waited are served, and they alone are on record."""
    service = proxied
    monkeypatch.setattr(recording, "LONGEST_QUEUE", 5)
    async with stalled_trail(service):
        asking = [
            asyncio.create_task(service.client.get("/api/v1/users/me", headers=client_number(number)))
            for number in range(40)
        ]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    answers = await asyncio.gather(*asking)
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 503}
    assert len(await stored(service)) == statuses.count(401) >= 5
    for answer in answers:
        assert ("retry-after" in answer.headers) == (answer.status_code == 503)


@pytest.mark.asvs("16.5.2")
async def test_a_trail_that_stalls_is_waited_for_no_longer_than_its_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503; and what nobody waits for is not piled up for ever."""
    monkeypatch.setattr(recording, "_WRITE_SECONDS", 0.2)
    monkeypatch.setattr(recording, "LONGEST_QUEUE", 3)
    recorder = Recorder(service[Database], Appender(keys_of(service)))
    async with stalled_trail(service):
        assert (await service.client.get("/api/v1/users/me")).status_code == 503
        for number in range(5):
            recorder.append(event_record(ip=f"192.0.2.{number}"))
        assert recorder.lost == 2
        await recorder.close()
    assert recorder.lost == 5
    monkeypatch.setattr(recording, "_WRITE_SECONDS", 5)
    assert (await service.client.get("/api/v1/users/me")).status_code == 401
    assert await actions(service) == ["unauthenticated"]


@pytest.mark.parametrize(("failures", "lost"), [(2, 0), (3, 1)])
async def test_an_event_that_no_request_waits_for_is_tried_three_times(
    service: Service, failures: int, lost: int
) -> None:
    """A lock that is held for some seconds loses no count of refusals; one that is never free fills no queue."""
    append, attempts = Appender(keys_of(service)), itertools.count(1)

    def busy(connection: Connection, event_records: Sequence[EventRecord]) -> None:
        if next(attempts) <= failures:
            raise unavailable()
        append(connection, event_records)

    recorder = Recorder(service[Database], busy)
    recorder.append(event_record(ip="192.0.2.1"))
    await recorder.close()
    assert recorder.lost == lost
    assert await actions(service) == ["unauthenticated"] * (1 - lost)


@pytest.mark.asvs("16.5.2", "16.5.3")
async def test_no_answer_without_a_row(service: Service) -> None:
    """When the trail cannot be written: no sign-in, no refusal, no change; 503, and nothing has happened."""
    person, tokens = await service.signed_in()
    await disarm(service)
    await execute(service, "ALTER TABLE audit_events RENAME TO audit_elsewhere")
    new = "another password, long enough"
    body = {"current_password": person.password, "new_password": new}
    answers = [
        await service.try_sign_in(person.email, person.password),
        await service.try_sign_in(person.email, "not the password"),
        await service.refresh(tokens.refresh),
        await service.client.get("/api/v1/users", headers=tokens.bearer),
        await service.client.get("/api/v1/users/me"),
        await service.client.get("/nowhere", headers={"Host": "evil.example"}),
        await service.client.get("/nowhere", headers={"Host": "evil.example"}),
        await service.client.post("/api/v1/users/me/password", json=body, headers=tokens.bearer),
    ]
    assert [answer.status_code for answer in answers] == [503] * len(answers)
    assert all(answer.headers["retry-after"] for answer in answers)
    assert "audit" in answers[0].text
    # What is no event goes on.
    assert (await service.whoami(tokens)).status_code == 200
    await execute(service, "ALTER TABLE audit_elsewhere RENAME TO audit_events")
    # The session that could not be accounted for is not there, the token was not used up, the password is the old one.
    sessions = await service.client.get("/api/v1/sessions", headers=tokens.bearer)
    assert len(sessions.json()["items"]) == 1
    assert (await service.refresh(tokens.refresh)).status_code == 200
    assert (await service.try_sign_in(person.email, new)).status_code == 401
    assert (await service.try_sign_in(person.email, person.password)).status_code == 200
    assert (await verified(service)).flaw is None


async def test_growth_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for every so many rows, with their number: what an operator watches, and what to do about it."""
    monkeypatch.setattr("app.features.audit.trail.append._GROWTH_STEP", 10)
    with capture_logs() as lines:
        for number in range(25):
            await trail_of(service).record([event_record(ip=f"192.0.2.{number}")])
    grew = [line for line in lines if line["event"] == "audit_trail_grew"]
    assert [(line["rows"], line["hint"]) for line in grew] == [
        (10, "manage audit archive"),
        (20, "manage audit archive"),
    ]


async def test_a_change_that_is_rolled_back_is_not_told(service: Service) -> None:
    """What succeeded in it did not happen; what was refused in it was refused."""
    recorder = trail_of(service)
    with pytest.raises(RuntimeError):  # noqa: PT012  # the transaction is what is raised through
        async with recorder.recording(), service[Database].transaction():
            emit_event(AccountEvent.ROLES_CHANGED, outcome="success")
            emit_event(AccessEvent.ACCESS_DENIED, outcome="denied")
            raise RuntimeError
    assert await actions(service) == ["access_denied"]


async def test_a_crash_after_the_event_still_records(service: Service) -> None:
    """The answer is 500, and the event is there."""

    @service.app.get("/crash")
    @policy(Public())
    async def crash() -> None:
        emit_event(AccessEvent.ACCESS_DENIED, outcome="denied")
        raise RuntimeError

    answer = await service.client.get("/crash")
    assert answer.status_code == 500
    assert [row["request_id"] for row in await stored(service)] == [answer.headers["x-request-id"]]


async def test_the_background_records_too(service: Service) -> None:
    """What no request waits for is written at the latest when the block ends; what cannot be is told."""
    trail = AuditTrail(service[Database], keys_of(service))
    async with trail.recording():
        emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success", target_id="x", target_type="thing")
    (row,) = await stored(service)
    assert (row["ip"], row["target_type"], row["target_id"]) == (None, "thing", "x")
    await disarm(service)
    await execute(service, "ALTER TABLE audit_events RENAME TO audit_elsewhere")
    with pytest.raises(Unavailable):
        async with trail.recording():
            emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success")
    await execute(service, "ALTER TABLE audit_elsewhere RENAME TO audit_events")
