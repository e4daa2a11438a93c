"""API keys: made, replaced and ended by their owner or by administrators, reported as leaked, checked at each use.

Stored is the SHA-256 of a key, sealed to row and owner: an HMAC could not be made anew for another `SECRET_KEY`.
Administrators make keys of service accounts alone: with one of a person, they would act in that person's name.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from hmac import compare_digest
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

from fastapi import Request
from limits import RateLimitItemPerMinute, parse as parse_limit
from sqlalchemy import bindparam, case, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guard import AccessEvent, Authentication
from app.access.policies import API_KEY, CLIENT_SECRET, MFA, Principal
from app.access.roles import Permission
from app.core.clock import utc_now
from app.core.crypto import KeyRing, Purpose, SealBrokenError, Sealer, digest
from app.core.database.batches import reseal_rows
from app.core.database.database import Database, table_of
from app.core.errors import Conflict, NotFound, Unauthenticated, require_room
from app.core.events import emit_event
from app.core.limits import Limiter, subscriber
from app.core.mail.outbox import MailTemplate
from app.core.pagination import Cursors, PageParams
from app.core.schemas import Page
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.accounts.administration import AccountAdministration, denied
from app.features.accounts.events import AccountEvent
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.mailed.recovery import MailboxService
from app.features.accounts.mailed.tokens import taken_back
from app.features.accounts.service import (
    ANYBODY,
    SERVICE_DOMAIN,
    AccountService,
    has_address,
    is_service_account,
    with_account,
)
from app.features.api_keys.events import ApiKeyEvent
from app.features.api_keys.models import PREFIX, ApiKey, id_in, new_key
from app.features.api_keys.schemas import ApiKeyCreate, ApiKeyCreated, ApiKeyRead, ApiKeyRotation
from app.features.factors.service import Factor
from app.features.sessions.devices import Client
from app.features.sessions.service import SessionService
from app.http.request.base import HttpEvent, scheme_and_credentials
from app.http.request.proxies import client_ip_of, is_trusted

_NOTED_EVERY = timedelta(minutes=1)
API_KEY_SEAL = Purpose("api-key/v1")
_keys = table_of(ApiKey)
# A key of an account with a second factor was made by a sign-in with it, or has outlived the one that had none.
_methods = case(
    (is_service_account(_keys.c.user_id), f"{API_KEY} {CLIENT_SECRET}"),
    (exists().where(Factor.user_id == _keys.c.user_id), f"{API_KEY} {MFA}"),
    else_=API_KEY,
)
_READ = (_keys.c[name] for name in ("id", "user_id", "sealed", "scope", "networks", "last_used_at", "per_minute"))
_ALIVE = select(*_READ, _keys.c.created_at.label("authenticated_at"), _methods.label("methods"))
_ALIVE = _ALIVE.where(_keys.c.id == bindparam("key_id"), _keys.c.expires_at > bindparam("now"))
_IDENTIFY = with_account(_ALIVE.subquery())


class ApiKeyMail(MailTemplate):
    """The mails about API keys, which nobody can switch off."""

    CREATED = "api_key_created", "A new API key", "name", "ip", "whose"
    LEAKED = "api_key_leaked", "An API key leaked, and has ended", "name"
    REVOKED = "api_key_revoked", "An API key was ended", "name"


class ApiKeyService:
    """Makes, checks and ends keys. The owner is part of every query; None is the actor of the request."""

    def __init__(self, services: Services) -> None:
        settings, keys = services[Settings], services[KeyRing]
        self._database, self._sessions, self._mail = services[Database], services[SessionService], services[AccountMail]
        self._accounts, self._administration = services[AccountService], services[AccountAdministration]
        self._most, self._limiter = settings.items_per_user, services[Limiter]
        self._attempts, self._uses = map(parse_limit, (settings.rate_limit_signin, settings.rate_limit_default))
        self._sealer, self._cursors = Sealer(keys, API_KEY_SEAL), Cursors(keys, "api keys")
        self._sessions.lock_key = self.lock_alive
        services[MailboxService].reset_revocations.append(self.end_all)
        services[Authentication].prefer(self)
        services[Authentication].key_schemes["apiKey"] = {"type": "http", "scheme": "bearer", "bearerFormat": "API key"}

    def takes(self, request: Request) -> bool:
        """Take a request whose one `Authorization` header has what begins as an API key does."""
        values = request.headers.getlist("Authorization")
        scheme, key = scheme_and_credentials(values[0]) if len(values) == 1 else ("", "")
        return scheme == "bearer" and key.startswith(PREFIX)

    async def __call__(self, request: Request) -> Principal:
        """Return the principal, and keep `request.state.account`; raises `Unauthenticated` or `TooManyRequests`."""
        _, key = scheme_and_credentials(request.headers["Authorization"])
        key_id, ip, now = id_in(key), client_ip_of(request.scope), utc_now()
        rows = await self._database.fetch_all(_IDENTIFY, {"key_id": key_id, "now": now}) if key_id else []
        if not rows or not self._is_of(rows[0], key) or rows[0].verified_at is None:
            raise await self._refusal(ip, "invalid API key")
        row, identity, networks = rows[0], self._accounts.identity_in(rows), rows[0].networks.split()
        if networks and not is_trusted(ip, tuple(map(ip_network, networks))):
            raise await self._refusal(ip, "API key from another network", user_id=row.user_id, target_id=row.id)
        limit = RateLimitItemPerMinute(row.per_minute) if row.per_minute else self._uses
        verdict = await self._limiter.hit_often(limit, "api-key", "use", str(row.id))
        verdict.require("Too many requests with this key. Try again later.", HttpEvent.RATE_LIMITED)
        if row.last_used_at is None or row.last_used_at < now - _NOTED_EVERY:
            stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - _NOTED_EVERY)
            async with self._database.transaction() as db:
                using = update(ApiKey).where(ApiKey.id == row.id, stale)
                await db.execute(using.values(last_used_at=now, last_used_ip=ip))
        request.state.account = account = identity.account
        return identity.principal(row.id, frozenset(each for each in account.permissions if each in row.scope.split()))

    async def _refusal(self, ip: str, reason: str, **about: object) -> Unauthenticated:
        """Count a refusal for the network, and return the error, which never says what is wrong with the key."""
        await self._count("key", ip)
        emit_event(AccessEvent.UNAUTHENTICATED, outcome="denied", reason=reason, **about)
        return Unauthenticated("The API key is not valid.", challenge='Bearer error="invalid_token"')

    async def _count(self, what: str, ip: str) -> None:
        verdict = await self._limiter.hit(self._attempts, "api-key", what, subscriber(ip))
        verdict.require("Too many attempts. Try again later.", AccountEvent.SIGNIN_LIMITED, by="API key")

    async def lock_alive(self, db: AsyncSession, actor: Principal) -> bool:
        """Lock the key of a principal whose account is locked; return whether it is alive, and may still do as much."""
        roles = await self._accounts.active_roles(db, actor.user_id)
        alive = select(ApiKey.id).where(ApiKey.id == actor.session_id, ApiKey.expires_at > utc_now()).with_for_update()
        permitted = roles is not None and actor.permissions <= self._accounts.permissions_of(roles)
        return permitted and await db.scalar(alive) is not None

    async def list_keys(self, params: PageParams, owner: UUID | None = None) -> Page[ApiKeyRead]:
        """Return all keys, or those of an account, newest first; also expired ones, until `manage purge` runs."""
        wanted = select(ApiKey) if owner is None else select(ApiKey).where(ApiKey.user_id == owner)
        if params.search is not None:
            named = ApiKey.name.icontains(params.search, autoescape=True)
            wanted = wanted.where(or_(named, has_address(_keys.c.user_id, params.search)))
        rows, cursor = await self._cursors.fetch(self._database, wanted, params, (ApiKey.created_at, ApiKey.id))
        return Page(items=[ApiKeyRead.of(row) for row in rows], next_cursor=cursor)

    async def create(
        self, actor: Principal, new: ApiKeyCreate, origin: Client, owner: UUID | None = None
    ) -> ApiKeyCreated:
        """Make a key; raises `Forbidden` if it could do more than its owner or this sign-in, and what `_add` raises."""
        row = ApiKey(id=uuid4(), name=new.name, expires_at=utc_now() + timedelta(days=new.expires_in_days))
        row.scope, row.networks = (" ".join(sorted(set(texts))) for texts in (new.scopes, new.networks))
        row.per_minute = new.requests_per_minute
        async with self._changing(actor, owner, makes=True) as (db, row.user_id, permissions):
            _require_within(permissions, row)
            _emit_event(ApiKeyEvent.API_KEY_CREATED, row, actor.user_id)
            return await self._add(db, row, actor, origin)

    async def rotate(
        self, actor: Principal, rotation: ApiKeyRotation, origin: Client, key_id: UUID, owner: UUID | None = None
    ) -> ApiKeyCreated:
        """Make the one successor of a key, with its rights and lifetime; raises as `create`, and `NotFound`."""
        async with self._changing(actor, owner, makes=True) as (db, owner_id, permissions):
            old, now = await _lock(db, owner_id, key_id), utc_now()
            if old.replaced_at is not None or old.expires_at <= now:
                raise Conflict("The key was replaced, or has expired. Make a new one.")
            _require_within(permissions, old)
            kept = {name: getattr(old, name) for name in ("user_id", "name", "scope", "networks", "per_minute")}
            row = ApiKey(**kept, id=uuid4(), expires_at=now + (old.expires_at - old.created_at))
            old.replaced_at, old.expires_at = now, min(old.expires_at, now + timedelta(hours=rotation.overlap_hours))
            _emit_event(ApiKeyEvent.API_KEY_ROTATED, old, actor.user_id, replaced_by=row.id)
            return await self._add(db, row, actor, origin)

    async def revoke(self, actor: Principal, key_id: UUID, owner: UUID | None = None) -> None:
        """End a key, and mail whoever made it, unless it was the actor; raises `NotFound`."""
        async with self._changing(actor, owner) as (db, owner_id, _):
            row = await _lock(db, owner_id, key_id)
            await db.delete(row)
            _emit_event(ApiKeyEvent.API_KEY_REVOKED, row, actor.user_id)
            if (maker := row.made_by or owner_id) != actor.user_id:
                await self._mail.alert(db, ApiKeyMail.REVOKED, maker, name=row.name)

    @asynccontextmanager
    async def _changing(
        self, actor: Principal, owner: UUID | None, *, makes: bool = False
    ) -> AsyncIterator[tuple[AsyncSession, UUID, frozenset[Permission]]]:
        """Begin a change of keys; yields the transaction, whose keys they are, and what they may at most."""
        if owner is None:
            async with self._database.transaction() as db:
                await self._sessions.require_alive(db, actor)
                yield db, actor.user_id, actor.permissions
        else:
            async with self._administration.locked(actor, owner) as (db, user, _):
                if makes and not user.email.endswith(f"@{SERVICE_DOMAIN}"):
                    raise denied("Administrators make keys of service accounts alone. People make their own.")
                yield db, owner, self._accounts.permissions_of(user.roles)

    async def end_all(self, db: AsyncSession, user_id: UUID) -> None:
        """End the keys of a user whose password is reset by mail; the account is locked."""
        theirs = delete(ApiKey).where(ApiKey.user_id == user_id).returning(ApiKey.id, ApiKey.user_id)
        for row in await db.execute(theirs):
            _emit_event(ApiKeyEvent.API_KEY_REVOKED, row, user_id)

    async def report(self, key: str, origin: Client) -> None:
        """End a key that was found somewhere, and mail its owner; the work is the same if it is none."""
        await self._count("leaked", origin.ip)
        async with self._database.transaction() as db:
            none = ApiKey(id=UUID(int=0), user_id=await db.scalar(ANYBODY) or UUID(int=0), name="-")
            row = await db.scalar(select(ApiKey).where(ApiKey.id == (id_in(key) or none.id)).with_for_update())
            found = row if row is not None and self._is_of(row, key) else none
            if found is none:
                emit_event(ApiKeyEvent.API_KEY_LEAKED, outcome="failure")
            else:
                _emit_event(ApiKeyEvent.API_KEY_LEAKED, found, found.user_id)
            async with taken_back(db, unless=found is not none):
                await db.execute(delete(ApiKey).where(ApiKey.id == found.id))
                await self._mail.alert(db, ApiKeyMail.LEAKED, found.made_by or found.user_id, name=found.name)

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` digests of earlier keys anew; return how many. One that does not open stays."""
        return await reseal_rows(db, ApiKey, self._sealer, _place, limit)

    async def _add(self, db: AsyncSession, row: ApiKey, actor: Principal, origin: Client) -> ApiKeyCreated:
        """Add a row, mail whoever makes it, and return it with its key; raises `Conflict` beyond `ITEMS_PER_USER`."""
        theirs = select(func.count(), func.count(ApiKey.replaced_at)).where(ApiKey.user_id == row.user_id)
        alive, replaced = (await db.execute(theirs.where(ApiKey.expires_at > utc_now()))).one()
        require_room(max(alive - replaced, replaced - 1), self._most, "API keys")
        row.created_at, row.made_by = utc_now(), actor.user_id
        row.replaced_at = row.last_used_at = row.last_used_ip = None
        key = new_key(row.id)
        row.sealed, row.last_four = self._sealer.seal(digest(key), identity=_place(row)), key[-4:]
        db.add(row)
        await db.flush()
        whose = "you" if row.user_id == actor.user_id else "a service account"
        await self._mail.alert(db, ApiKeyMail.CREATED, actor.user_id, origin, name=row.name, whose=whose)
        return ApiKeyCreated.of(row, key)

    def _is_of(self, row: Any, key: str) -> bool:
        """Return whether it is the key of the row, in a time that does not tell how much of it is right."""
        with suppress(SealBrokenError):
            return compare_digest(digest(key), self._sealer.open(row.sealed, identity=_place(row)))
        return False


def _place(row: Any) -> bytes:
    """Return the place of a digest: moved anywhere else, it does not open."""
    return f"api_keys|{row.id}|{row.user_id}".encode()


def _require_within(permissions: frozenset[Permission], row: ApiKey) -> None:
    if not permissions.issuperset(row.scope.split()):
        raise denied("A key may do nothing that its owner, or this sign-in, may not: choose its scopes from those.")


async def _lock(db: AsyncSession, owner: UUID, key_id: UUID) -> ApiKey:
    row = await db.scalar(select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == owner).with_for_update())
    if row is None:
        raise NotFound("There is no such API key.")
    return row


def _emit_event(event: ApiKeyEvent, row: Any, user_id: UUID, **more: UUID) -> None:
    about = {"target_type": "api_key", "target_id": row.id, "owner_id": row.user_id}
    emit_event(event, outcome="success", user_id=user_id, **about, **more)
