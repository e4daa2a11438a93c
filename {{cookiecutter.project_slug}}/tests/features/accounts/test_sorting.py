"""Sorting users: by address, by when the account was made, by the last sign-in, both ways and in parts."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from app.access.roles import Role
from tests.conftest import StartService
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio

USERS = "/api/v1/users"
START = datetime(2026, 7, 1, 12, tzinfo=UTC)
SORTED = {
    "email": "Anna b|c dora zoe",
    "created_at": "zoe Anna dora b|c",
    "last_sign_in": "dora b|c zoe Anna",  # the first two never signed in: what counts is when the account was made
}


async def pages(service: Service, admin: Tokens, sort: str, limit: int) -> list[str]:
    """The first parts of the addresses in all parts of the list."""
    found: list[str] = []
    cursor = None
    while not found or cursor:
        params = {"sort": sort, "limit": str(limit), "q": "@people"} | ({"cursor": cursor} if cursor else {})
        answer = (await service.client.get(USERS, params=params, headers=admin.bearer)).json()
        found += [item["email"].split("@")[0] for item in answer["items"]]
        cursor = answer["next_cursor"]
    return found


@pytest.mark.asvs("1.2.4", "2.2.1")
async def test_accounts_are_sorted_both_ways_and_in_parts(start: StartService) -> None:
    """Each account once, whatever the length of a part; addresses in any case; an unknown order is a 422."""
    with time_machine.travel(START, tick=False) as clock:
        async with start() as service:
            admin = await service.sign_in(await service.person(Role.ADMIN, email="0@0.example"))
            people = {}
            for name in ("zoe", "Anna", "dora", "b|c"):
                clock.shift(timedelta(minutes=1))
                people[name] = await service.person(email=f"{name}@people.example")
            for name in ("zoe", "Anna"):
                clock.shift(timedelta(minutes=1))
                await service.sign_in(people[name])
            for sort, names in SORTED.items():
                for limit in (1, 3, 9):
                    assert await pages(service, admin, sort, limit) == names.split()
                    assert await pages(service, admin, f"-{sort}", limit) == names.split()[::-1]
            for wrong in ("name", "--email", "email;", "password_hash", ""):
                answer = await service.client.get(USERS, params={"sort": wrong}, headers=admin.bearer)
                assert answer.status_code == 422, wrong


async def test_a_cursor_is_of_one_order(service: Service) -> None:
    """In another order, or the other way round, it is refused."""
    _, admin = await service.signed_in(Role.ADMIN)
    await service.person()
    params = {"sort": "email", "limit": "1"}
    cursor = (await service.client.get(USERS, params=params, headers=admin.bearer)).json()["next_cursor"]
    for sort, status in (("email", 200), ("-email", 422), ("created_at", 422), ("-last_sign_in", 422)):
        answer = await service.client.get(USERS, params={"sort": sort, "cursor": cursor}, headers=admin.bearer)
        assert answer.status_code == status, sort
