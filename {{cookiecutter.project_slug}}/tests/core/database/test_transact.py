"""`Database.run_in_transaction`: many short transactions at the same moment, on whichever database the tests run on."""

import asyncio
from collections import Counter
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from app.access.guard import AccessEvent
from app.core.clock import utc_now
from app.core.database.database import Database, table_of
from app.core.events import EventRecord, RequestOrigin, emit_event, events_to
from app.features.accounts.events import AccountEvent
from app.features.accounts.models import User
from app.features.audit.trail.append import lock_heads
from tests.support.records.logs import captured_log, log_settings
from tests.support.records.trail import stored
from tests.support.service import Service

pytestmark = pytest.mark.anyio

_ADD = insert(table_of(User))


class Client:
    """A request of one client: where its events come from, and what no transaction took of them."""

    def __init__(self, ip: str) -> None:
        self.ip = ip
        self.taken: list[EventRecord] = []

    def origin(self) -> RequestOrigin:
        """The client."""
        return RequestOrigin(ip=self.ip)

    def append(self, event_record: EventRecord) -> None:
        """Keep it."""
        self.taken.append(event_record)


def adding(mailbox: str) -> Callable[[Connection], UUID]:
    """Work that adds an account, and tells of it; the result is its id."""

    def add(connection: Connection) -> UUID:
        user_id = uuid4()
        connection.execute(_ADD, {"id": user_id, "email": mailbox, "mailbox": mailbox, "created_at": utc_now()})
        emit_event(AccountEvent.ACCOUNT_CREATED, outcome="success", user_id=user_id)
        return user_id

    return add


async def added(database: Database) -> dict[str, UUID]:
    """The accounts by mailbox."""
    async with database.read() as db:
        return {row.mailbox: row.id for row in await db.execute(select(User.mailbox, User.id))}


async def test_each_gets_its_own_result(service: Service) -> None:
    """However many come at once, nobody is given what another one did."""
    database = service[Database]
    names = [f"{number}@people.example" for number in range(20)]
    ids = await asyncio.gather(*(database.run_in_transaction(adding(name)) for name in names))
    assert await added(database) == dict(zip(names, ids, strict=True))


@pytest.mark.asvs("16.2.1")
async def test_each_event_is_recorded_once_and_of_its_own_client(service: Service) -> None:
    """Transactions of the same moment do not share where they come from."""
    database = service[Database]

    async def ask(number: int) -> UUID:
        with events_to(Client(f"192.0.2.{number}")):
            user_id: UUID = await database.run_in_transaction(adding(f"{number}@people.example"))
        return user_id

    with captured_log(log_settings()) as log:
        ids = await asyncio.gather(*map(ask, range(8)))
    expected = {str(user_id): f"192.0.2.{number}" for number, user_id in enumerate(ids)}
    assert {row["target_id"] or str(row["actor_id"]): row["ip"] for row in await stored(service)} == expected
    assert Counter(line["user_id"] for line in log.lines) == Counter(expected.keys())


@pytest.mark.asvs("2.3.3")
async def test_what_fails_fails_alone(service: Service) -> None:
    """The error reaches whoever it belongs to; the others are committed, and no event of theirs is told twice."""
    database = service[Database]
    await database.run_in_transaction(adding("taken@people.example"))
    refused = Client("192.0.2.1")

    def fail(connection: Connection) -> UUID:
        emit_event(AccessEvent.ACCESS_DENIED, outcome="denied")
        return adding("taken@people.example")(connection)

    async def ask_in_vain() -> UUID:
        with events_to(refused):
            user_id: UUID = await database.run_in_transaction(fail)
        return user_id

    with captured_log(log_settings()) as log:
        first = asyncio.create_task(database.run_in_transaction(adding("first@people.example")))
        in_vain = asyncio.create_task(ask_in_vain())
        last = asyncio.create_task(database.run_in_transaction(adding("last@people.example")))
        await asyncio.wait([first, in_vain, last])
    assert isinstance(in_vain.exception(), IntegrityError)
    found = await added(database)
    assert found.keys() == {"taken@people.example", "first@people.example", "last@people.example"}
    assert (found["first@people.example"], found["last@people.example"]) == (first.result(), last.result())
    told = Counter((line["event"], line.get("user_id")) for line in log.lines)
    kept = [("account_created", str(task.result())) for task in (first, last)]
    assert told == Counter([*kept, ("access_denied", None)])
    assert [row["action"] for row in await stored(service)] == ["account_created"] * 3
    assert [event_record.action for event_record in refused.taken] == ["access_denied"]


async def test_who_is_cancelled_while_waiting_changes_nothing(service: Service) -> None:
    """The others go on when the lock is free."""
    database = service[Database]
    async with database.transaction() as db:
        await (await db.connection()).run_sync(lock_heads)
        going, staying = (
            asyncio.create_task(database.run_in_transaction(adding(f"{name}@people.example")))
            for name in ("going", "staying")
        )
        await asyncio.sleep(0.2)
        assert not going.done()
        going.cancel()
        await asyncio.wait([going])
    await staying
    assert going.cancelled()
    assert await added(database) == {"staying@people.example": staying.result()}
    assert [row["action"] for row in await stored(service)] == ["account_created"]
