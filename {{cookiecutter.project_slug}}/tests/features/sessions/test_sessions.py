"""My sessions."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import StaticPool, create_engine

from app.core.database.database import Base
from app.features.sessions.service import _BEYOND
from tests.conftest import StartService
from tests.support.processes.server import PROJECT
from tests.support.records.trail import stored
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

OPERATIONS = PROJECT / "docs" / "operations.md"


@pytest.mark.asvs("7.5.2")
async def test_lists_mine_alone_and_marks_the_current_one(service: Service) -> None:
    """Two sign-ins of mine, none of anybody else's, with what helps to recognise them."""
    person, first = await service.signed_in()
    second = await service.sign_in(person, headers={"User-Agent": "Second/1.0"})
    await service.signed_in()
    body = (await service.client.get("/api/v1/sessions", headers=second.bearer)).json()
    assert body["next_cursor"] is None
    assert [(item["current"], item["user_agent"] == "Second/1.0") for item in body["items"]] == [
        (True, True),
        (False, False),
    ]
    expected = {"id", "current", "created_at", "last_seen_at", "expires_at", "ip", "user_agent", "client_id"}
    assert set(body["items"][0]) == expected
    assert all(item["created_at"].endswith("Z") for item in body["items"])
    assert (await service.whoami(first)).status_code == 200


@pytest.mark.asvs("7.1.2", "2.3.2")
async def test_one_session_more_ends_the_one_that_idles_for_longest(start: StartService) -> None:
    """As `docs/operations.md` says; what is in use stays, and the trail has the reason."""
    assert "at most `SESSIONS_PER_USER` of them" in " ".join(OPERATIONS.read_text(encoding="utf-8").split())
    async with start(sessions_per_user=3) as service:
        person, first = await service.signed_in()
        second, third = await service.sign_in(person), await service.sign_in(person)
        first = tokens_of(await service.refresh(first.refresh))
        fourth = await service.sign_in(person)
        found = [(await service.whoami(tokens)).status_code for tokens in (first, second, third, fourth)]
        assert found == [200, 401, 200, 200]
        ended = [row for row in await stored(service) if row["action"] == "session_ended"]
        assert ["too many sessions" in row["details"] for row in ended] == [True]


def test_a_sign_in_reads_the_sessions_of_its_own_user_alone() -> None:
    """SQLite does not know how many rows an index has for a value: it took the one with everybody's sessions."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    statement = _BEYOND.compile(engine)
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (1,) * len(statement.positiontup or ()))
        assert "ix_sessions_user_id (user_id=?)" in plan.all()[0].detail
    engine.dispose()


@pytest.mark.asvs("7.1.2", "15.4.2")
async def test_sign_ins_at_once_keep_within_the_bound(start: StartService) -> None:
    """Of two processes, too: the sign-ins of one user wait for each other."""
    async with start(sessions_per_user=3) as service, start(sessions_per_user=3) as other:
        person = await service.person()
        await asyncio.gather(*(each.sign_in(person) for each in (service, other) for _ in range(6)))
        tokens = await service.sign_in(person)
        listed = (await service.client.get("/api/v1/sessions", headers=tokens.bearer)).json()["items"]
        assert len(listed) == 3


async def test_ends_one_of_mine(service: Service) -> None:
    """The one that is ended is dead at once, the other goes on; a second time it is not there."""
    person, first = await service.signed_in()
    second = await service.sign_in(person)
    items = (await service.client.get("/api/v1/sessions", headers=second.bearer)).json()["items"]
    (other,) = (item["id"] for item in items if not item["current"])
    assert (await service.client.delete(f"/api/v1/sessions/{other}", headers=second.bearer)).status_code == 204
    assert (await service.whoami(first)).status_code == 401
    assert (await service.refresh(first.refresh)).status_code == 400
    assert (await service.whoami(second)).status_code == 200
    assert (await service.client.delete(f"/api/v1/sessions/{other}", headers=second.bearer)).status_code == 404


async def test_ends_all_others(service: Service) -> None:
    """Only the session that asks stays, and nobody else's is touched."""
    person, current = await service.signed_in()
    others = [await service.sign_in(person) for _ in range(3)]
    _, stranger = await service.signed_in()
    assert (await service.client.delete("/api/v1/sessions", headers=current.bearer)).status_code == 204
    assert [(await service.whoami(tokens)).status_code for tokens in (*others, current, stranger)] == [
        401,
        401,
        401,
        200,
        200,
    ]


@pytest.mark.asvs("8.2.2")
async def test_somebody_elses_session_is_not_there(service: Service) -> None:
    """404, as for one that does not exist, and it goes on."""
    _, mine = await service.signed_in()
    _, other = await service.signed_in()
    items = (await service.client.get("/api/v1/sessions", headers=other.bearer)).json()["items"]
    for session_id in (items[0]["id"], uuid4()):
        assert (await service.client.delete(f"/api/v1/sessions/{session_id}", headers=mine.bearer)).status_code == 404
    assert (await service.whoami(other)).status_code == 200


async def test_a_list_comes_in_parts(service: Service) -> None:
    """Each session once, whatever the size of the parts; a cursor of another list is refused."""
    person, tokens = await service.signed_in()
    for _ in range(4):
        await service.sign_in(person)
    seen: list[str] = []
    cursor: str | None = ""
    last = ""
    while cursor is not None:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        body = (await service.client.get("/api/v1/sessions", params=query, headers=tokens.bearer)).json()
        seen += [item["id"] for item in body["items"]]
        cursor = body["next_cursor"]
        last = cursor or last
    assert len(seen) == len(set(seen)) == 5
    for forged in (last[:-2] + "AA", "nonsense", "é"):
        answer = await service.client.get("/api/v1/sessions", params={"cursor": forged}, headers=tokens.bearer)
        assert answer.status_code == 422
