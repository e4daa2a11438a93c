"""Refresh tokens and sessions that are over go; what somebody needs stays."""

from datetime import datetime, timedelta

import pytest
import time_machine
from sqlalchemy import func, select

from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.sessions.models import Session
from app.features.signin.models import RefreshToken
from tests.conftest import StartService
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

RETENTION = timedelta(days=30)


async def purge(service: Service, limit: int = 1000) -> tuple[int, int]:
    """Purge what was over thirty days ago: how many tokens, how many sessions."""
    before = utc_now() - RETENTION
    tokens = await service.purge("refresh tokens", before=before, limit=limit)
    return tokens, await service.purge("sessions", before=before, limit=limit)


async def purge_homes(service: Service, limit: int = 1000) -> int:
    """Purge the networks that were last used long ago: how many."""
    return await service.purge("home networks", before=utc_now(), limit=limit)


async def count(service: Service, table: type[Session | RefreshToken]) -> int:
    """How many rows are left."""
    async with service[Database].read() as db:
        return int(await db.scalar(select(func.count()).select_from(table)) or 0)


def later(**time: float) -> datetime:
    """A moment from now."""
    return utc_now() + timedelta(**time)


async def test_used_tokens_of_a_living_session_stay(service: Service) -> None:
    """However old: their reuse is noticed after eighty days of refreshing, and ends the family."""
    _, first = await service.signed_in()
    tokens = first
    for day in range(10, 81, 10):
        with time_machine.travel(later(days=day), tick=False):
            tokens = tokens_of(await service.refresh(tokens.refresh))
            assert await purge(service) == (0, 0)
    with time_machine.travel(later(days=80, minutes=1), tick=False):
        assert (await service.refresh(first.refresh)).status_code == 400
        assert (await service.refresh(tokens.refresh)).status_code == 400
        assert (await service.whoami(tokens)).status_code == 401


@pytest.mark.parametrize(
    ("days", "gone"), [(43.9, False), (44.1, True)], ids=["within the retention", "after the retention"]
)
async def test_an_idle_session_goes_when_it_was_over_for_long_enough(
    service: Service, days: float, *, gone: bool
) -> None:
    """Idle after 14 days, kept for 30 more, with its tokens."""
    person, _ = await service.signed_in()
    await service.sign_in(person)
    with time_machine.travel(later(days=days), tick=False):
        assert await purge(service) == ((2, 2) if gone else (0, 0))
        assert await purge(service) == (0, 0)
    assert await count(service, Session) == (0 if gone else 2)


async def test_an_ended_session_counts_from_its_end(service: Service) -> None:
    """Signing out begins the retention; the session that goes on is not touched."""
    person, ended = await service.signed_in()
    current = await service.sign_in(person)
    await service.client.delete("/api/v1/sessions", headers=current.bearer)
    assert (await service.whoami(ended)).status_code == 401
    for day in (10, 20, 29.9):
        with time_machine.travel(later(days=day), tick=False):
            current = tokens_of(await service.refresh(current.refresh))
            assert await purge(service) == (0, 0)
    with time_machine.travel(later(days=30.1), tick=False):
        assert await purge(service) == (1, 1)
        current = tokens_of(await service.refresh(current.refresh))
        assert (await service.whoami(current)).status_code == 200


async def test_the_home_of_the_owner_stays_known(start: StartService) -> None:
    """Months after the last sign-in an attacker elsewhere does not lock the owner out; after a year it is forgotten."""
    async with start(rate_limit_signin="3/hour", trusted_proxies="127.0.0.1") as service:
        home, away = {"X-Forwarded-For": "198.51.100.1"}, {"X-Forwarded-For": "203.0.113.9"}
        person = await service.person()
        for _ in range(3):
            await service.sign_in(person, headers=home)
        with time_machine.travel(later(days=200), tick=False):
            assert await purge(service) == (3, 3)
            assert await purge_homes(service) == 0
            for _ in range(4):
                refused = await service.try_sign_in(person.email, "a wrong password", headers=away)
            assert refused.status_code == 429
            assert (await service.try_sign_in(person.email, person.password, headers=home)).status_code == 200
        with time_machine.travel(later(days=600), tick=False):
            assert await purge_homes(service) == 1
            for _ in range(3):
                await service.try_sign_in(person.email, "a wrong password", headers=away)
            assert (await service.try_sign_in(person.email, person.password, headers=home)).status_code == 429


async def test_home_networks_go_in_batches(start: StartService) -> None:
    """No more at once than it may be; those that were used since stay."""
    async with start(trusted_proxies="127.0.0.1") as service:
        person = await service.person()
        for number in range(5):
            await service.sign_in(person, headers={"X-Forwarded-For": f"198.51.100.{number}"})
        with time_machine.travel(later(days=300), tick=False):
            await service.sign_in(person, headers={"X-Forwarded-For": "198.51.100.4"})
        with time_machine.travel(later(days=400), tick=False):
            assert [await purge_homes(service, limit=3) for _ in range(3)] == [3, 1, 0]


async def test_a_batch_is_no_larger_than_it_may_be(service: Service) -> None:
    """The rest is for the next one."""
    person, _ = await service.signed_in()
    for _ in range(5):
        await service.sign_in(person)
    with time_machine.travel(later(days=400), tick=False):
        purged = [await purge(service, limit=4) for _ in range(3)]
    assert [sessions for _, sessions in purged] == [4, 2, 0]
    assert purged[0] == (4, 4)
    assert (await count(service, Session), await count(service, RefreshToken)) == (0, 0)
