"""Who writes is judged in the transaction that writes: rights that ended while it waited for a lock are gone."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.accounts.models import User, UserRole
from app.features.sessions.events import ENDED_BY_USER
from app.features.sessions.service import SessionService
from tests.conftest import StartService
from tests.support.api.meanwhile import while_it_waits
from tests.support.api.oauth import register
from tests.support.database.tables import tables_of
from tests.support.records.trail import stored
from tests.support.service import Person, Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("8.3.2", "15.4.2")]

End = Callable[[SessionService, AsyncSession, Person], Awaitable[None]]
Body = dict[str, Any] | None
KEPT = ("users", "user_roles", "oauth_clients", "outbox")
CLIENT = {"name": "App", "scope": "account:read", "redirect_uris": ["https://app.example/"]}
NEW_PASSWORD = "nine blue kites land"


async def _disable(sessions: SessionService, db: AsyncSession, actor: Person) -> None:
    await db.execute(update(User).where(User.id == actor.id).values(disabled_at=utc_now()))
    await sessions.end_all(db, actor.id, "account disabled")


async def _demote(sessions: SessionService, db: AsyncSession, actor: Person) -> None:
    await _take_role(sessions, db, actor)
    await sessions.end_all(db, actor.id, "roles changed")


async def _take_role(_: SessionService, db: AsyncSession, actor: Person) -> None:
    """End no session: whoever writes to the database need not."""
    await db.execute(update(UserRole).where(UserRole.user_id == actor.id).values(role=Role.MEMBER))


async def _delete(_: SessionService, db: AsyncSession, actor: Person) -> None:
    await db.execute(delete(User).where(User.id == actor.id))


async def _sign_out_everywhere(sessions: SessionService, db: AsyncSession, actor: Person) -> None:
    await sessions.end_all(db, actor.id, ENDED_BY_USER)


WRITES: dict[str, tuple[str, str, Body]] = {
    "assign roles": ("PUT", "/api/v1/users/{target}/roles", {"roles": ["admin"]}),
    "rename": ("PATCH", "/api/v1/users/{target}", {"display_name": "Other"}),
    "disable": ("PATCH", "/api/v1/users/{target}", {"disabled": True}),
    "delete": ("DELETE", "/api/v1/users/{target}", None),
    "invite": ("POST", "/api/v1/invitations", {"email": "guest@people.example"}),
    "add client": ("POST", "/api/v1/clients", CLIENT),
    "remove client": ("DELETE", "/api/v1/clients/{client}", None),
    "rotate secret": ("POST", "/api/v1/clients/{client}/secret", None),
    "change password": (
        "POST",
        "/api/v1/users/me/password",
        {"current_password": "{password}", "new_password": NEW_PASSWORD},
    ),
}
OWN_WRITES: dict[str, tuple[str, str, Body]] = {
    "end the other session": ("DELETE", "/api/v1/sessions/{kept}", None),
    "end every other session": ("DELETE", "/api/v1/sessions", None),
    "revoke a token of the other session": ("POST", "/oauth/revoke", None),
    "rename": ("PATCH", "/api/v1/users/me", {"display_name": "Other"}),
    "mute alerts": ("PATCH", "/api/v1/users/me", {"muted_alerts": ["new_device"]}),
}
# Every write by one end of rights, and one write by every other end: what waits and judges is the same code.
CASES = [
    *((write, _disable) for write in WRITES if write != "change password"),
    *(("assign roles", end) for end in (_demote, _take_role, _delete, _sign_out_everywhere)),
    ("change password", _sign_out_everywhere),
]


@pytest.mark.parametrize(("write", "end"), CASES)
async def test_rights_that_end_while_a_write_waits_write_nothing(start: StartService, write: str, end: End) -> None:
    """Two connections: the actor's rights end on one, while their write waits for its lock on the other."""
    async with start() as service, start() as other:
        actor, tokens = await service.signed_in(Role.ADMIN)
        await service.person(Role.ADMIN)
        target, client = await service.person(), (await register(service)).client
        method, path, body = WRITES[write]
        path = path.format(target=target.id, client=client.id)
        body = body and {name: actor.password if value == "{password}" else value for name, value in body.items()}
        before = await _rows_of_others(service, actor)
        hashed = await _password_hash(service, actor)
        request = service.client.request(method, path, headers=tokens.bearer, json=body)
        answer = await while_it_waits(service, other, actor, request, lambda db: end(other[SessionService], db, actor))
        assert answer.status_code in {401, 403}, answer.text
        assert await _rows_of_others(service, actor) == before
        assert await _password_hash(service, actor) in {hashed, None}  # None: deleted
        assert [row["outcome"] for row in await stored(service)][-1] == "denied"


@pytest.mark.asvs("7.4.1")
@pytest.mark.parametrize("write", OWN_WRITES)
async def test_a_session_that_ends_while_its_write_waits_writes_nothing(start: StartService, write: str) -> None:
    """The owner ends a stolen session on one connection, while its write waits on the other: nothing has changed."""
    async with start() as service, start() as other:
        owner, stolen = await service.signed_in()
        kept = await service.sign_in(owner)
        sessions = (await service.client.get("/api/v1/sessions", headers=stolen.bearer)).json()["items"]
        ids = {session["current"]: session["id"] for session in sessions}
        before = (await service.whoami(kept)).json()
        method, path, body = OWN_WRITES[write]
        form = {"token": kept.refresh} if path == "/oauth/revoke" else None
        path = path.format(kept=ids[False])
        request = service.client.request(method, path, headers=stolen.bearer, json=body, data=form)

        async def end(db: AsyncSession) -> None:
            await other[SessionService].end(db, ENDED_BY_USER, id=UUID(ids[True]))

        answer = await while_it_waits(service, other, owner, request, end)
        assert answer.status_code == 401, answer.text
        assert (await service.whoami(kept)).json() == before
        assert [row["outcome"] for row in await stored(service)][-1] == "denied"


async def test_the_last_administrator_is_counted_after_the_wait(start: StartService) -> None:
    """An administrator deletes their account while the other one loses the role: who waited sees that."""
    async with start() as service, start() as other:
        actor, tokens = await service.signed_in(Role.ADMIN)
        second = await service.person(Role.ADMIN)
        body = {"current_password": actor.password}
        request = service.client.request("DELETE", "/api/v1/users/me", headers=tokens.bearer, json=body)
        sessions = other[SessionService]
        answer = await while_it_waits(service, other, actor, request, lambda db: _demote(sessions, db, second))
        assert answer.status_code == 409, answer.text


async def _rows_of_others(service: Service, actor: Person) -> dict[str, list[str]]:
    """What is stored, without the rows of the actor: those change with their rights."""
    tables, mine = await tables_of(service), {str(actor.id), actor.id.hex}
    return {name: [row for row in tables[name] if not mine.intersection(row.split("'"))] for name in KEPT}


async def _password_hash(service: Service, actor: Person) -> str | None:
    async with service[Database].read() as db:
        found: str | None = await db.scalar(select(User.password_hash).where(User.id == actor.id))
    return found
