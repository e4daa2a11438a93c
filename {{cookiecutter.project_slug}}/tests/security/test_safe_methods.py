"""GET, HEAD and OPTIONS change nothing, whoever asks: every table is compared before and after (ASVS 3.5.3).

Two things may move, for neither is what somebody wanted to change. `sessions.last_seen_at` says that a session is in
use, at most once a minute: sessions that idle end (ASVS 7.3.1). The audit trail says that somebody was refused (ASVS
16.3.2): it may grow by refusals, and by nothing else.
"""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import Connection, inspect, text

from app.access.guard import route_policies
from app.access.roles import Role
from tests.support.service import Service, Tokens

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("3.5.3")]

METHODS = ("GET", "HEAD", "OPTIONS")
MOVES = {"sessions": "last_seen_at"}
TRAIL, TRAIL_END = "audit_events", "audit_heads"
# As a program asks, and as a link does that is on a page of somebody else.
LINK = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
ASKING: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
    ({"Accept": "*/*"}, {}),
    (LINK, {"next": "/", "token": "x", "code": "x"}),
)
Rows = dict[str, list[str]]


def _rows(connection: Connection) -> Rows:
    """Every row of every table, whatever the service knows of them."""
    found = {}
    for table in inspect(connection).get_table_names():
        rows = connection.execute(text(f'SELECT * FROM "{table}"')).mappings()  # noqa: S608  # the database's own name
        found[table] = sorted(_text(row, without=MOVES.get(table)) for row in rows)
    return found


def _text(row: Mapping[Any, Any], *, without: str | None) -> str:
    return repr({name: value for name, value in row.items() if name != without})


async def snapshot(service: Service) -> Rows:
    """What is in the database."""
    async with service.app.state.database.read() as unit:
        found: Rows = await (await unit.connection()).run_sync(_rows)
    return found


def assert_unchanged(before: Rows, after: Rows, what: object) -> None:
    """Nothing but refusals on record."""
    changed = {table for table in after if before[table] != after[table]}
    assert changed <= {TRAIL, TRAIL_END}, (what, changed)
    assert set(before[TRAIL]) <= set(after[TRAIL])
    for row in set(after[TRAIL]) - set(before[TRAIL]):
        assert "'outcome': 'denied'" in row, (what, row)


# Of one's own; a parameter of a path is called after the things of a list.
LISTS = [
    "secrets",
    "sessions",
]


async def things(service: Service, tokens: Tokens, user_id: object) -> dict[str, str]:
    """What the parameters of a path can be, so that a path leads to something that is there."""
    found = {"user_id": str(user_id)}
    for name in LISTS:
        answer = await service.client.get(f"/api/v1/{name}", headers=tokens.bearer)
        if answer.status_code == 200:
            found |= {f"{name[:-1]}_id": item["id"] for item in answer.json()["items"]}
    return found


@pytest.fixture
async def asker(service: Service, role: Role | None) -> AsyncIterator[tuple[httpx2.AsyncClient, dict[str, str]]]:
    """A browser of nobody or of somebody, who has something, and what its paths lead to."""
    transport = httpx2.ASGITransport(app=service.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=service.client.base_url) as client:
        parameters: dict[str, str] = {}
        if role is not None:
            person, tokens = await service.signed_in(role)
            secret = {"name": "Bank", "secret_string": "x"}
            await service.client.post("/api/v1/secrets", json=secret, headers=tokens.bearer)
            parameters = await things(service, tokens, person.id)
            form = {"email": person.email, "password": person.password}
            answer = await client.post("/login", data=form, headers={"Sec-Fetch-Site": "same-origin"})
            # Without the pages, there is no cookie: the token opens the same.
            if answer.status_code == 404:
                client.headers |= tokens.bearer
        yield client, parameters


@pytest.mark.parametrize("role", [None, Role.MEMBER, Role.ADMIN], ids=str)
async def test_safe_methods_change_nothing(service: Service, asker: tuple[httpx2.AsyncClient, dict[str, str]]) -> None:
    """Every path, by each of them, as a program and as a link on another site would ask."""
    client, parameters = asker
    paths = {line.path for line in route_policies(service.app)} | {"/nothing", "/logout", "/verify", "/oauth/authorize"}
    before = await snapshot(service)
    assert len(before) > 5
    for path in sorted(paths):
        target = re.sub(r"\{(\w+)\}", lambda found: parameters.get(found[1], str(uuid4())), path)
        answers = [
            await client.request(method, target, headers=headers, params=query)
            for headers, query in ASKING
            for method in METHODS
        ]
        assert max(answer.status_code for answer in answers) < 500, path
        after = await snapshot(service)
        assert_unchanged(before, after, path)
        before = after
