"""Clients: registering, listing and removing them, and a new secret for one: 256 random bits, stored as their SHA-256.

Rows are locked in one order: the actor (`accounts/administration.py`), the service account, its client, its sessions.
"""

import re
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Row, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.policies import Principal
from app.access.roles import RoleTable
from app.core.clock import utc_now
from app.core.crypto import KeyRing, digest, new_token
from app.core.database.database import Database
from app.core.errors import Conflict, NotFound, Unprocessable
from app.core.events import SecurityEvent, emit_event
from app.core.pagination import Cursors, PageParams
from app.core.services import Services
from app.features.accounts.administration import Authority, denied
from app.features.accounts.service import SERVICE_DOMAIN, add_account, lock_service_account, remove_service_account
from app.features.oauth.clients.registered import OWN_CLIENTS, GrantType, RegisteredClient
from app.features.oauth.clients.schemas import ClientCreate
from app.features.oauth.events import ClientEvent
from app.features.oauth.models import OAuthClient
from app.features.sessions.service import SessionService

_PREFIX = "cs_"  # what `core/logging/secret_shapes.py` knows a secret by
_CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)

_clients = OAuthClient.__table__


class ClientService:
    """Keeps the clients. An `actor` of None is the operator, who runs a command and may do everything."""

    def __init__(self, services: Services, grants: Collection[str]) -> None:
        self._database, self._sessions = services[Database], services[SessionService]
        self._authority, self._roles = services[Authority], services[RoleTable]
        self._cursors, self._grants = Cursors(services[KeyRing], "clients"), grants

    async def add(
        self, actor: Principal | None, new: ClientCreate, *, show: Callable[[str, SecretStr | None], None] | None = None
    ) -> tuple[RegisteredClient, SecretStr | None]:
        """Register a client, and return it with its secret, unless `show` raises, which gets `client_id` and secret.

        Raises `Unprocessable` for an unknown scope or grant, `Forbidden` for what the actor may not give: roles, a
        scope beyond their own permissions, or, without a sign-in with the service itself, `first_party`.
        """
        if not self._roles.permissions.keys() >= set(new.scope.split()):
            reason = "must be permissions, separated by one space"
            error = {"location": ["body", "scope"], "reason": f"Value error, {reason}"}
            raise Unprocessable(f"The scope {reason}.", errors=[error])
        if not set(new.grants).issubset(self._grants):
            supported = ", ".join(sorted(set(GrantType).intersection(self._grants)))
            raise Unprocessable(f"This service has the grants {supported}.")
        if actor and new.roles:
            self._authority.require_to_give(actor, frozenset(new.roles))
        _require_scope(actor, new.scope.split(), first_party=new.first_party)
        client_id, now = secrets.token_hex(16), utc_now()
        secret = SecretStr(new_token(_PREFIX)) if new.confidential else None
        row = OAuthClient(id=uuid4(), created_at=now, client_id=client_id, name=new.name, scope=new.scope, user_id=None)
        row.secret_hash, row.secret_issued_at = (digest(secret.get_secret_value()), now) if secret else (None, None)
        row.first_party, row.grants = new.first_party, " ".join(sorted(set(new.grants)))
        row.redirect_uris = " ".join(dict.fromkeys(new.redirect_uris))
        async with self._database.transaction(before_commit=show and partial(show, client_id, secret)) as db:
            await self._authority.lock_actor(db, actor)
            if new.roles:
                address = f"{client_id}@{SERVICE_DOMAIN}"
                row.user_id = await add_account(db, address, address, new.name, new.roles)
            db.add(row)
            _emit_event(ClientEvent.CLIENT_CREATED, actor, row.id, **_granted(new))
        return _client(row), secret

    async def find(self, which: UUID | str) -> RegisteredClient | None:
        """Return the client with this id or `client_id`, or None."""
        if isinstance(which, str) and not _CLIENT_ID.fullmatch(which):
            return None
        async with self._database.read() as db:
            row = (await db.execute(select(_clients).where(_is(which)))).one_or_none()
        return None if row is None else _client(row)

    async def get(self, which: UUID | str) -> RegisteredClient:
        """Return the client with this id or `client_id`; raises `NotFound`."""
        return _require_found(await self.find(which))

    async def list_clients(self, params: PageParams) -> tuple[list[RegisteredClient], str | None]:
        """Return registered clients, newest first, and the cursor of the next part; none of the service itself."""
        registered = select(OAuthClient).where(_clients.c.client_id.not_in(OWN_CLIENTS))
        if params.search is not None:
            named = OAuthClient.name.icontains(params.search, autoescape=True)
            registered = registered.where(named | (_clients.c.client_id == params.search))
        order = (OAuthClient.created_at, OAuthClient.id)
        rows, next_cursor = await self._cursors.fetch(self._database, registered, params, order)
        return [_client(row) for row in rows], next_cursor

    async def hold(self, db: AsyncSession, client: RegisteredClient) -> bool:
        """Lock the client, after its user, against removal and rotation; return False if it changed meanwhile."""
        same = (_clients.c.id == client.id, _clients.c.secret_hash == client.secret_hash)
        return await db.scalar(select(_clients.c.id).where(*same).with_for_update(read=True)) is not None

    async def rotate_secret(
        self, actor: Principal | None, which: UUID | str, *, show: Callable[[SecretStr], None] | None = None
    ) -> tuple[RegisteredClient, SecretStr]:
        """Give the client another secret, unless `show` raises, and end the sessions of its service account.

        Those of users stay: they cannot be refreshed without the new secret. Raises `NotFound`, `Conflict` for a public
        client, or `Forbidden` as `add` does.
        """
        secret = SecretStr(new_token(_PREFIX))
        async with self._database.transaction(before_commit=show and partial(show, secret)) as db:
            client = await self._lock(db, actor, which)
            _require_scope(actor, client.scope, first_party=client.first_party)
            if not client.confidential:
                raise Conflict("A public client has no secret.")
            values = {"secret_hash": digest(secret.get_secret_value()), "secret_issued_at": utc_now()}
            changing = update(OAuthClient).where(_is(client.id)).values(values).returning(*_clients.c)
            client = _client((await db.execute(changing)).one())
            if client.user_id is not None:
                reason = "client secret rotated"
                await self._sessions.end(db, reason, client_id=client.client_id, user_id=client.user_id)
            _emit_event(ClientEvent.CLIENT_SECRET_ROTATED, actor, client.id)
        return client, secret

    async def remove(self, actor: Principal | None, which: UUID | str) -> RegisteredClient:
        """Remove client, service account and sessions; raises `NotFound`, `Forbidden` if its roles exceed the actor."""
        async with self._database.transaction() as db:
            client = await self._lock(db, actor, which)
            await self._discard(db, client)
            if client.user_id is not None:
                await remove_service_account(db, client.user_id)
            _emit_event(ClientEvent.CLIENT_REMOVED, actor, client.id)
        return client

    async def keep_own(self, client_id: str, *, name: str, redirect_uri: str, scope: frozenset[str]) -> None:
        """Have a first-party client of the service itself; another redirect URI or scope makes a new one of it."""
        there = await self.find(client_id)
        if there is not None:
            if (there.redirect_uris, there.scope) == ((redirect_uri,), scope):
                return
            async with self._database.transaction() as db:
                await self._discard(db, there)
        row = OAuthClient(created_at=utc_now(), client_id=client_id, name=name, first_party=True)
        row.grants, row.redirect_uris = GrantType.AUTHORIZATION_CODE.value, redirect_uri
        row.scope = " ".join(sorted(scope))
        with suppress(IntegrityError):  # another process was quicker
            async with self._database.transaction() as db:
                db.add(row)

    async def _discard(self, db: AsyncSession, client: RegisteredClient) -> None:
        await self._sessions.end(db, "client removed", client_id=client.client_id)
        await db.execute(delete(OAuthClient).where(_is(client.id)))

    async def _lock(self, db: AsyncSession, actor: Principal | None, which: UUID | str) -> RegisteredClient:
        """Lock the client after its service account; raises `Forbidden`, and `NotFound` for the own client too."""
        await self._authority.lock_actor(db, actor)
        account = await db.scalar(select(_clients.c.user_id).where(_is(which)))
        if account is not None:
            roles = await lock_service_account(db, account)
            if actor and roles:
                self._authority.require_to_give(actor, roles)
        registered = select(_clients).where(_is(which), _clients.c.client_id.not_in(OWN_CLIENTS)).with_for_update()
        row = (await db.execute(registered)).one_or_none()
        return _require_found(None if row is None else _client(row))


def _is(which: UUID | str) -> ColumnElement[bool]:
    return (_clients.c.id if isinstance(which, UUID) else _clients.c.client_id) == which


def _require_scope(actor: Principal | None, scope: Collection[str], *, first_party: bool) -> None:
    """Raise `Forbidden` for a client that may do more than the actor of this request."""
    if actor is None:
        return
    beyond = sorted(set(scope) - actor.permissions)
    if beyond:
        raise denied(f"A client may do nothing that you may not: {', '.join(beyond)}.")
    if first_party and actor.client_id is not None:
        raise denied("A first-party client needs a sign-in with the service, not an application that acts for you.")


def _client(row: Row[Any] | OAuthClient) -> RegisteredClient:
    lists = {
        "grants": frozenset(row.grants.split()),
        "redirect_uris": tuple(row.redirect_uris.split()),
        "scope": frozenset(row.scope.split()),
    }
    return RegisteredClient(**{column.name: getattr(row, column.name) for column in _clients.c} | lists)


def _require_found(client: RegisteredClient | None) -> RegisteredClient:
    if client is None:
        raise NotFound("There is no such client.")
    return client


def _granted(new: ClientCreate) -> dict[str, object]:
    """Return what the trail says of a new client, with cut URIs; no list of texts could name a secret, and mask one."""
    return new.model_dump(include={"confidential", "first_party", "scope"}) | {
        "grants": " ".join(sorted(set(new.grants))),
        "redirect_uris": {number: uri[:300] for number, uri in enumerate(new.redirect_uris, 1)},
        "roles": sorted(new.roles),
    }


def _emit_event(event: SecurityEvent, actor: Principal | None, id_: UUID, **fields: object) -> None:
    emit_event(event, outcome="success", user_id=actor and actor.user_id, target_type="client", target_id=id_, **fields)
