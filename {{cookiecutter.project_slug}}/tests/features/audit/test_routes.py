"""`GET /api/v1/audit`: for those who may, filtered and in parts."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from app.access.roles import Role
from tests.support.records.trail import listed
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def test_filters_by_each_column_and_all_together(service: Service) -> None:
    """Actor, action, target, time; what matches nothing is an empty list."""
    _, auditor = await service.signed_in(Role.AUDITOR)
    person, tokens = await service.signed_in()
    await service.client.get("/api/v1/users", headers=tokens.bearer)
    await service.try_sign_in(person.email, "not the password")
    mine = await listed(service, auditor, actor=str(person.id))
    assert [item["action"] for item in mine] == ["access_denied", "signin_succeeded"]
    assert {item["actor"] for item in mine} == {str(person.id)}
    about = await listed(service, auditor, target=str(person.id))
    assert [item["action"] for item in about] == ["signin_failed", "account_created"]
    failed = await listed(service, auditor, action="signin_failed")
    assert [item["target_id"] for item in failed] == [str(person.id)]
    at = failed[0]["created_at"]
    assert at.endswith("Z")
    assert await listed(service, auditor, since=at) == failed
    assert failed[0] not in await listed(service, auditor, until=at)
    both = await listed(service, auditor, actor=str(person.id), action="signin_succeeded", until=at)
    assert both == [mine[1]]
    assert await listed(service, auditor, actor=str(uuid4())) == []


async def test_another_zone_is_the_same_time(service: Service) -> None:
    """RFC 3339 with an offset."""
    _, auditor = await service.signed_in(Role.AUDITOR)
    rows = await listed(service, auditor)
    east = (datetime.now(UTC) + timedelta(hours=5)).replace(tzinfo=None)
    assert (
        await listed(service, auditor, until=f"{east.isoformat(timespec='seconds')}+05:00", action="roles_changed")
        == []
    )
    assert await listed(service, auditor, since="2020-01-01t00:00:00z", until="2999-12-31T23:59:59.5-08:00") == rows


@pytest.mark.asvs("2.2.1")
@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-01-01T00:00:00"},
        {"since": "2026-01-01"},
        {"until": "1767225600"},
        {"until": "canary"},
        {"until": "2026-13-01T00:00:00Z"},
        {"until": "9999-12-31T23:59:59-23:59"},
        {"since": "0001-01-01T00:00:00+23:59"},
        {"actor": "canary"},
        {"target": "canary"},
        {"action": "canary"},
        {"limit": "0"},
        {"limit": "201"},
        {"cursor": "canary"},
    ],
    ids=str,
)
async def test_what_is_no_filter_is_refused(service: Service, query: dict[str, str]) -> None:
    """422 without an echo: a time needs its zone, and one that UTC cannot hold is none."""
    _, auditor = await service.signed_in(Role.AUDITOR)
    answer = await service.client.get("/api/v1/audit", params=query, headers=auditor.bearer)
    assert answer.status_code == 422
    assert "canary" not in answer.text


async def test_parts_are_stable_while_rows_are_added(service: Service) -> None:
    """Each row once, newest first, whatever comes meanwhile; a cursor of another list is refused."""
    _, auditor = await service.signed_in(Role.AUDITOR)
    for _ in range(5):
        await service.person()
    expected = [item["sequence"] for item in await listed(service, auditor)]
    assert expected == [7, 6, 5, 4, 3, 2, 1]
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        body = (await service.client.get("/api/v1/audit", params=query, headers=auditor.bearer)).json()
        seen += [item["sequence"] for item in body["items"]]
        cursor = body["next_cursor"]
        if cursor:
            other = await service.client.get("/api/v1/users", params={"cursor": cursor}, headers=auditor.bearer)
            assert other.status_code == 422
        await service.person()
    assert seen == expected


@pytest.mark.asvs("2.2.1", "2.2.3")
async def test_a_cursor_holds_for_its_filters_alone(service: Service) -> None:
    """With each filter added, changed or left out it is refused as a foreign one is; the same time is the same."""
    _, auditor = await service.signed_in(Role.AUDITOR)
    person, _ = await service.signed_in()
    for _ in range(3):
        await service.try_sign_in(person.email, "not the password")
    filters = {"action": "signin_failed", "target": str(person.id), "since": "2020-01-01T00:00:00Z"}
    for given in ({}, filters):
        answer = await service.client.get("/api/v1/audit", params={**given, "limit": "2"}, headers=auditor.bearer)
        cursor = answer.json()["next_cursor"]
        without: list[dict[str, str]] = [{name: given[name] for name in given if name != left} for left in given]
        for other in (
            *without,
            given | {"action": "signin_succeeded"},
            given | {"actor": str(person.id)},
            given | {"target": str(uuid4())},
            given | {"since": "2020-01-01T00:00:01Z"},
            given | {"until": "2999-01-01T00:00:00Z"},
            given | {"until": "2020-01-01T00:00:00Z", "since": "2999-01-01T00:00:00Z"},
        ):
            answer = await service.client.get(
                "/api/v1/audit", params={**other, "cursor": cursor}, headers=auditor.bearer
            )
            assert answer.status_code == 422, other
        same = given | ({"since": "2020-01-01T01:00:00+01:00"} if given else {})
        answer = await service.client.get("/api/v1/audit", params={**same, "cursor": cursor}, headers=auditor.bearer)
        assert answer.status_code == 200
        assert answer.json()["items"]


async def test_reading_writes_nothing(service: Service) -> None:
    """Neither a list nor a look at oneself is an event."""
    _, auditor = await service.signed_in(Role.AUDITOR)
    before = await listed(service, auditor)
    await service.whoami(auditor)
    await service.client.get("/api/v1/users", headers=auditor.bearer)
    assert await listed(service, auditor) == before
