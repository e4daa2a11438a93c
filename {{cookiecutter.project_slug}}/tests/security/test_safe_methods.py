"""GET, HEAD and OPTIONS change nothing, whoever asks: every table is compared before and after (ASVS 3.5.3)."""

import re
from collections.abc import AsyncIterator, Iterable
from uuid import uuid4

import httpx2
import pytest

from app.access.guard import route_policies
from app.access.roles import Role
from tests.support.database.tables import assert_unchanged, tables_of
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("3.5.3")]

METHODS = ("GET", "HEAD", "OPTIONS")
# As a program asks, and as a link does that is on a page of somebody else.
LINK = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
ASKING: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
    ({"Accept": "*/*"}, {}),
    (LINK, {"next": "/", "token": "x", "code": "x"}),
)


@pytest.fixture
async def asker(service: Service, role: Role | None) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser of nobody, or of somebody who is signed in with it."""
    transport = httpx2.ASGITransport(app=service.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=service.client.base_url) as client:
        if role is not None:
            person, tokens = await service.signed_in(role)
            form = {"email": person.email, "password": person.password}
            answer = await client.post("/login", data=form, headers={"Sec-Fetch-Site": "same-origin"})
            # A service without pages has no cookie: the token opens the same.
            if answer.status_code == 404:
                client.headers |= tokens.bearer
        yield client


async def parameters(client: httpx2.AsyncClient, paths: Iterable[str]) -> dict[str, str]:
    """What the parameters of paths can be: the id of something in the list that is before them, if there is one."""
    found = {}
    for path in paths:
        for place in re.finditer(r"\{(\w+)\}", path):
            answer = await client.get(path[: place.start() - 1], headers={"Accept": "application/json"})
            items = answer.json().get("items") if answer.headers.get("Content-Type") == "application/json" else None
            if items:
                found[place[1]] = items[0]["id"]
    return found


@pytest.mark.parametrize("role", [None, Role.MEMBER, Role.ADMIN], ids=str)
async def test_safe_methods_change_nothing(service: Service, asker: httpx2.AsyncClient, role: Role | None) -> None:
    """Every path, by each of them, as a program and as a link on another site would ask."""
    paths = {path for _, path, _ in route_policies(service.app)} | {
        "/nothing",
        "/logout",
        "/verify",
        "/oauth/authorize",
    }
    known = await parameters(asker, paths)
    assert {"session_id", "user_id"} <= set(known) or role is not Role.ADMIN
    before = await tables_of(service)
    assert len(before) > 5
    for path in sorted(paths):
        target = re.sub(r"\{(\w+)\}", lambda place: known.get(place[1], str(uuid4())), path)
        answers = [
            await asker.request(method, target, headers=headers, params=query)
            for headers, query in ASKING
            for method in METHODS
        ]
        assert max(answer.status_code for answer in answers) < 500, path
        after = await tables_of(service)
        assert_unchanged(before, after, path)
        before = after
