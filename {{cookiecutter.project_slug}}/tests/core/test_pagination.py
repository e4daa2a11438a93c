"""Lists in parts: every row once whatever happens meanwhile, and no cursor but those that were given."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from app.access.roles import Role
from app.core.database.database import Database
from app.features.accounts.models import User
from tests.conftest import StartService
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
# Few, so that many rows are of the same time; microseconds apart, so that nothing may be rounded.
moments = st.integers(0, 3).map(lambda step: EPOCH + timedelta(microseconds=step))
times = st.lists(moments, max_size=4)


@pytest.fixture
async def administrated(service: Service) -> tuple[Service, Tokens]:
    """The service, and an administrator."""
    return service, await service.sign_in(await service.person(Role.ADMIN))


async def insert(service: Service, tag: str, when: list[datetime]) -> list[UUID]:
    """Add accounts of these times whose address holds the tag; their ids."""
    names = [f"{secrets.token_hex(6)}.{tag}@people.example" for _ in when]
    rows = [User(email=name, mailbox=name, created_at=time) for name, time in zip(names, when, strict=True)]
    async with service[Database].transaction() as db:
        db.add_all(rows)
    return [row.id for row in rows]


async def part(service: Service, tokens: Tokens, path: str = "users", **query: str) -> httpx2.Response:
    """Ask for a part of a list."""
    return await service.client.get(f"/api/v1/{path}", params=query, headers=tokens.bearer)


async def delete(service: Service, admin: Tokens, identity: UUID) -> None:
    """Delete an account."""
    answer = await service.client.delete(f"/api/v1/users/{identity}", headers=admin.bearer)
    assert answer.status_code == 204


# One service for all examples: each looks for a tag of its own.
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.lists(moments, max_size=12),
    meanwhile=st.lists(st.tuples(times, st.booleans()), max_size=6),
    limit=st.integers(1, 5),
)
@example(first=[EPOCH] * 7, meanwhile=[([EPOCH] * 3, True)] * 4, limit=2)
async def test_every_row_is_listed_once_whatever_comes_and_goes(
    administrated: tuple[Service, Tokens],
    first: list[datetime],
    meanwhile: list[tuple[list[datetime], bool]],
    limit: int,
) -> None:
    """Rows come before, after and between, the last one that was listed goes: what stays is listed exactly once."""
    service, admin = administrated
    tag = secrets.token_hex(8)
    there = set(await insert(service, tag, first))
    listed: list[tuple[datetime, UUID]] = []
    changes, query = iter(meanwhile), {"q": tag, "limit": str(limit)}
    while True:
        page: dict[str, Any] = (await part(service, admin, **query)).json()
        assert len(page["items"]) <= limit
        listed += [(datetime.fromisoformat(item["created_at"]), UUID(item["id"])) for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        inserted, deletes = next(changes, ([], False))
        await insert(service, tag, inserted)
        if deletes:
            await delete(service, admin, listed[-1][1])
    assert listed == sorted(set(listed), reverse=True)
    assert there <= {identity for _, identity in listed}


async def first_cursor(service: Service, tokens: Tokens, path: str = "users", **query: str) -> str:
    """The cursor after one item."""
    return str((await part(service, tokens, path, limit="1", **query)).json()["next_cursor"])


async def refused(service: Service, tokens: Tokens, cursor: str, path: str = "users", **query: str) -> bool:
    """Whether a cursor is refused as what it is, without being repeated."""
    answer = await part(service, tokens, path, cursor=cursor, **query)
    return answer.status_code == 422 and (not cursor or cursor not in answer.text)


async def test_an_altered_cursor_is_refused(administrated: tuple[Service, Tokens]) -> None:
    """One letter changed, cut, added or doubled, another spelling of the same bytes: 422, never a crash."""
    service, admin = administrated
    await insert(service, "altered", [EPOCH] * 3)
    cursor = await first_cursor(service, admin)
    assert (await part(service, admin, cursor=cursor)).status_code == 200
    for place in range(0, len(cursor), 7):
        other = "B" if cursor[place] == "A" else "A"
        assert await refused(service, admin, cursor[:place] + other + cursor[place + 1 :])
        assert await refused(service, admin, cursor[:place])
        assert await refused(service, admin, cursor[:place] + "!" + cursor[place:])
    for spelling in (f"{cursor}=", f"{cursor}==", f" {cursor}", f"{cursor} ", cursor * 2, cursor.swapcase()):
        assert await refused(service, admin, spelling)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=st.text(max_size=220))
async def test_no_text_crashes_a_list(administrated: tuple[Service, Tokens], cursor: str) -> None:
    """Whatever is sent as a cursor is refused."""
    service, admin = administrated
    assert (await part(service, admin, cursor=cursor)).status_code in {400, 422}


async def test_a_cursor_is_of_one_list_and_one_search(administrated: tuple[Service, Tokens]) -> None:
    """That of another list, or of another search, is refused; the limit may change."""
    service, admin = administrated
    person, mine = await service.signed_in()
    await service.sign_in(person)
    await insert(service, "searched", [EPOCH] * 3)
    users, found = await first_cursor(service, admin), await first_cursor(service, admin, q="searched")
    sessions = await first_cursor(service, mine, "sessions")
    assert await refused(service, admin, sessions)
    assert await refused(service, mine, users, "sessions")
    assert await refused(service, admin, found)
    assert await refused(service, admin, found, q="other")
    assert await refused(service, admin, users, q="searched")
    assert len((await part(service, admin, cursor=found, q="searched", limit="9")).json()["items"]) == 2


async def test_a_cursor_outlives_its_key_as_long_as_that_is_a_fallback(start: StartService) -> None:
    """A rotation of the key interrupts nobody; dropping it ends what it signed."""
    old, new = secrets.token_urlsafe(64), secrets.token_urlsafe(64)
    async with start(secret_key=old) as service:
        admin = await service.person(Role.ADMIN)
        await insert(service, "rotated", [EPOCH] * 3)
        cursor = await first_cursor(service, await service.sign_in(admin))
    async with start(secret_key=new, secret_key_fallbacks=old) as service:
        assert (await part(service, await service.sign_in(admin), cursor=cursor)).status_code == 200
    async with start(secret_key=new) as service:
        assert await refused(service, await service.sign_in(admin), cursor)
