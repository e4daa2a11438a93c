"""How events travel: with their transaction, to the sink of their context, and never without whoever records them."""

import asyncio

import pytest
from pydantic import SecretStr

from app.access.guard import AccessEvent
from app.core.database.database import Database
from app.core.events import EventRecord, RequestOrigin, collect_events, emit_event, events_to
from app.core.settings.model import Settings
from app.features.accounts.events import AccountEvent
from app.features.sessions.events import SessionEvent
from tests.support.records.logs import captured_log, log_settings
from tests.support.records.trail import actions
from tests.support.service import Service

pytestmark = pytest.mark.anyio


class Basket:
    """Keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def origin(self) -> RequestOrigin:
        """Nowhere."""
        return RequestOrigin()

    def append(self, event_record: EventRecord) -> None:
        """Keep it."""
        self.taken.append(event_record.action)


def tell() -> None:
    """One event that succeeded, one that was refused."""
    emit_event(AccountEvent.ROLES_CHANGED, outcome="success")
    emit_event(AccessEvent.ACCESS_DENIED, outcome="denied")


def test_outside_of_a_unit_an_event_is_told_at_once() -> None:
    """To the log in any case, to a sink where there is one; the sink of before is back afterwards."""
    outer, inner = Basket(), Basket()
    with captured_log(log_settings()) as log:
        tell()
        with events_to(outer):
            with events_to(inner):
                tell()
            emit_event(SessionEvent.SIGNED_OUT, outcome="success")
    assert (inner.taken, outer.taken) == (["roles_changed", "access_denied"], ["signed_out"])
    assert [line["event"] for line in log.lines] == [*["roles_changed", "access_denied"] * 2, "signed_out"]


def test_a_unit_that_commits_tells_the_log_alone() -> None:
    """For whoever commits it has recorded the events by then."""
    basket = Basket()
    with captured_log(log_settings()) as log, events_to(basket):
        with collect_events() as held:
            tell()
            held.committed = True
            assert log.lines == []
        assert [event_record.action for event_record in held.event_records] == ["roles_changed", "access_denied"]
        assert [line["event"] for line in log.lines] == ["roles_changed", "access_denied"]
    assert basket.taken == []


def test_a_unit_that_is_rolled_back_tells_what_was_refused_alone() -> None:
    """What succeeded in it did not happen: neither the log nor the trail says it did."""
    basket = Basket()
    with captured_log(log_settings()) as log, events_to(basket):
        with pytest.raises(RuntimeError), collect_events():  # noqa: PT012  # the transaction is what is raised through
            tell()
            raise RuntimeError
        with collect_events():
            tell()
    assert basket.taken == [line["event"] for line in log.lines] == ["access_denied"] * 2


async def test_a_task_that_outlives_its_unit_is_not_held() -> None:
    """Nobody would release what it tells."""
    basket, over = Basket(), asyncio.Event()

    async def later() -> None:
        await over.wait()
        tell()

    with events_to(basket):
        with collect_events():
            task = asyncio.create_task(later())
        over.set()
        await task
    assert basket.taken == ["roles_changed", "access_denied"]


@pytest.mark.asvs("16.5.3")
async def test_a_database_without_a_trail_refuses_events(service: Service) -> None:
    """An event is never dropped in silence: whoever forgets to wire the trail is told, and nothing is committed."""
    database = Database(SecretStr(str(service[Settings].database_url.get_secret_value())))
    with pytest.raises(RuntimeError, match="record_events_with"):
        async with database.transaction():
            emit_event(SessionEvent.SIGNED_OUT, outcome="success")
    async with database.transaction() as db:
        emit_event(SessionEvent.SIGNED_OUT, outcome="success")
        await db.rollback()
    await database.close()
    assert await actions(service) == []
