"""A recent sign-in, where a policy asks for one."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest
import time_machine
from fastapi import APIRouter, FastAPI, Request

from app.access.guard import Authentication, GuardedRoute
from app.access.openapi import install_openapi
from app.access.policies import CLIENT_SECRET, OwnSession, Principal, Recent, policy
from app.access.roles import EVERY_ROLE, Permission, RoleTable
from app.core.clock import utc_now
from app.core.errors import install_error_handlers
from app.core.events import EventCatalog
from app.core.services import Services
from app.features.accounts.permissions import UserPermission
from app.features.sessions.permissions import AccountPermission

pytestmark = pytest.mark.anyio

NEEDED = AccountPermission.ACCOUNT_WRITE
PERMISSIONS: dict[str, Permission] = {str(name): name for name in (*AccountPermission, *UserPermission)}
SIGNED_IN = utc_now()


def somebody(permission: Permission, client_id: str | None, method: str) -> Principal:
    """A user who signed in when this module was read, or a client that acts for one or for itself."""
    return Principal(uuid4(), uuid4(), frozenset(), frozenset({permission}), SIGNED_IN, (method,), client_id)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A service with three sensitive routes; headers say who asks, and what they may."""
    router = APIRouter(route_class=GuardedRoute)

    @router.get("/with-permission")
    @policy(Recent(15, NEEDED))
    async def with_permission() -> None: ...

    @router.get("/without")
    @policy(Recent(5))
    async def without() -> None: ...

    @router.get("/own-session")
    @policy(OwnSession(15, NEEDED))
    async def own_session() -> None: ...

    class ByHeaders:
        def takes(self, _: Request) -> bool:
            return True

        async def __call__(self, request: Request) -> Principal:
            headers = request.headers
            permission = PERMISSIONS[headers["X-Permission"]]
            return somebody(permission, headers.get("X-Client"), headers.get("X-Method", "pwd"))

    app = FastAPI(docs_url=None, redoc_url=None)
    app.router.routes.clear()
    app.include_router(router)
    app.state.services = services = Services()
    services.add(Authentication()).prefer(ByHeaders())
    services.add(RoleTable(dict.fromkeys(PERMISSIONS.values(), EVERY_ROLE)))
    services.add(EventCatalog([]))
    install_error_handlers(app)
    install_openapi(app)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="https://service.example") as it:
        it.headers["X-Permission"] = NEEDED
        yield it


@pytest.mark.asvs("7.5.3")
@pytest.mark.parametrize(("path", "minutes"), [("/with-permission", 15), ("/without", 5), ("/own-session", 15)])
async def test_lets_in_who_signed_in_within_the_minutes_and_nobody_later(
    client: httpx2.AsyncClient, path: str, minutes: int
) -> None:
    """To the second; then the answer is RFC 9470's challenge."""
    limit = SIGNED_IN + timedelta(minutes=minutes)
    with time_machine.travel(limit, tick=False):
        assert (await client.get(path)).status_code == 200
    with time_machine.travel(limit + timedelta(seconds=1), tick=False):
        answer = await client.get(path)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer error="insufficient_user_authentication", max_age={minutes * 60}'
    )
    assert answer.json()["detail"] == f"This needs a sign-in within the last {minutes} minutes. Sign in again."


async def test_who_may_not_is_not_sent_to_sign_in(client: httpx2.AsyncClient) -> None:
    """403 without the permission, however recent: another sign-in would not help."""
    for later in (timedelta(0), timedelta(days=1)):
        with time_machine.travel(SIGNED_IN + later, tick=False):
            answer = await client.get("/with-permission", headers={"X-Permission": AccountPermission.ACCOUNT_READ})
        assert answer.status_code == 403
        assert answer.headers["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{NEEDED}"'


async def test_a_client_that_acts_for_itself_is_never_recent(client: httpx2.AsyncClient) -> None:
    """403, not a challenge: its secret proves no person, and signing in again would not help it."""
    for path in ("/with-permission", "/without", "/own-session"):
        answer = await client.get(path, headers={"X-Client": "job", "X-Method": CLIENT_SECRET})
        assert answer.status_code == 403
        assert "WWW-Authenticate" not in answer.headers


async def test_an_own_session_is_none_of_an_application(client: httpx2.AsyncClient) -> None:
    """A client that acts for a user who has just signed in gets into `Recent`, and not into `OwnSession`."""
    headers = {"X-Client": "app"}
    assert (await client.get("/with-permission", headers=headers)).status_code == 200
    answer = await client.get("/own-session", headers=headers)
    assert answer.status_code == 403
    assert "an application that acts for you is refused" in answer.json()["detail"]


@pytest.mark.asvs("16.3.2")
async def test_a_sign_in_that_is_too_old_is_on_record(
    client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the policy that refused."""
    with time_machine.travel(SIGNED_IN + timedelta(hours=1), tick=False):
        await client.get("/without")
    output = capsys.readouterr().out
    assert "access_denied" in output
    assert "Recent(5 min)" in output


def test_the_table_names_minutes_and_permission() -> None:
    """As `manage routes` prints them."""
    assert str(Recent(15, NEEDED)) == "Recent(15 min, account:write)"
    assert str(Recent(5)) == "Recent(5 min)"
    assert str(OwnSession(15, NEEDED)) == "OwnSession(15 min, account:write)"


async def test_the_document_says_what_is_asked(client: httpx2.AsyncClient) -> None:
    """401 with the minutes and the RFC; 403 for a missing permission, and for a client where a person must act."""
    app = client._transport.app  # type: ignore[attr-defined]  # noqa: SLF001  # the client has no other way to it
    paths = app.openapi()["paths"]
    responses = paths["/with-permission"]["get"]["responses"]
    assert re.search(r"15 minutes.*RFC 9470", responses["401"]["description"])
    assert "403" in responses
    assert "a client acts where a person must" in paths["/without"]["get"]["responses"]["403"]["description"]
