"""API keys: made, replaced and ended by their owner, ended by whoever reports one as leaked, and checked at each use.

Stored is the SHA-256 of a key, sealed to row and owner: an HMAC could not be made anew for another `SECRET_KEY`.
"""

from contextlib import suppress
from datetime import timedelta
from hmac import compare_digest
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

from fastapi import Request
from limits import parse as parse_limit
from sqlalchemy import bindparam, case, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guard import AccessEvent
from app.access.policies import API_KEY, MFA, Principal
from app.core.clock import utc_now
from app.core.crypto import KeyRing, SealBrokenError, Sealer, digest
from app.core.database.batches import reseal_rows
from app.core.database.database import Database, table_of
from app.core.errors import Conflict, NotFound, TooManyRequests, Unauthenticated
from app.core.events import emit_event
from app.core.limits import Limiter, subscriber
from app.core.mail.outbox import MailTemplate
from app.core.pagination import Cursors, PageParams
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.accounts.administration import denied
from app.features.accounts.events import AccountEvent
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.mailed.tokens import taken_back
from app.features.accounts.service import AccountService, with_account
from app.features.api_keys.events import ApiKeyEvent
from app.features.api_keys.keys import API_KEY_SEAL, PREFIX, id_in, new_key
from app.features.api_keys.models import ApiKey
from app.features.api_keys.schemas import ApiKeyCreate
from app.features.factors.service import Factor
from app.features.sessions.client import Client
from app.features.sessions.service import SessionService
from app.http.request.base import scheme_and_credentials
from app.http.request.proxies import client_ip_of, is_trusted

_NOTED_EVERY = timedelta(minutes=1)
_keys = table_of(ApiKey)
_READ = (_keys.c[name] for name in ("id", "user_id", "sealed", "scope", "networks", "last_used_at"))
# A key of an account with a second factor was made by a sign-in with it, or has outlived the one that had none.
_methods = case((exists().where(Factor.user_id == _keys.c.user_id), f"{API_KEY} {MFA}"), else_=API_KEY)
_ALIVE = select(*_READ, _keys.c.created_at.label("authenticated_at"), _methods.label("methods"))
_ALIVE = _ALIVE.where(_keys.c.id == bindparam("key_id"), _keys.c.expires_at > bindparam("now"))
_IDENTIFY = with_account(_ALIVE.subquery())
_users = next(iter(_keys.c.user_id.foreign_keys)).column.table
_SOMEBODY = select(_users.c.id).where(_users.c.verified_at.is_not(None), _users.c.password_hash.is_not(None)).limit(1)


class ApiKeyMail(MailTemplate):
    """The mails about API keys, which nobody can switch off."""

    CREATED = "api_key_created", "A new API key", "name", "ip"
    LEAKED = "api_key_leaked", "An API key leaked, and has ended", "name"


class ApiKeyService:
    """Makes, checks and ends the keys of each user. The owner is part of every query."""

    def __init__(self, services: Services) -> None:
        settings, keys = services[Settings], services[KeyRing]
        self._database, self._sessions, self._mail = services[Database], services[SessionService], services[AccountMail]
        self._accounts, self._most = services[AccountService], settings.items_per_user
        self._limiter, self._limit = services[Limiter], parse_limit(settings.rate_limit_signin)
        self._sealer, self._cursors = Sealer(keys, API_KEY_SEAL), Cursors(keys, "api keys")

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
        if row.last_used_at is None or row.last_used_at < now - _NOTED_EVERY:
            stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - _NOTED_EVERY)
            async with self._database.transaction() as db:
                using = update(ApiKey).where(ApiKey.id == row.id, stale)
                await db.execute(using.values(last_used_at=now, last_used_ip=ip))
        request.state.account = account = identity.account
        permissions = frozenset(each for each in account.permissions if each in row.scope.split())
        return identity.principal(row.id, permissions)

    async def _refusal(self, ip: str, reason: str, **about: object) -> Unauthenticated:
        """Count a refusal for the network, and return the error, which never says what is wrong with the key."""
        await self._count("key", ip)
        emit_event(AccessEvent.UNAUTHENTICATED, outcome="denied", reason=reason, **about)
        return Unauthenticated("The API key is not valid.", challenge='Bearer error="invalid_token"')

    async def _count(self, what: str, ip: str) -> None:
        verdict = await self._limiter.hit(self._limit, "api-key", what, subscriber(ip))
        if not verdict.allowed:
            emit_event(AccountEvent.SIGNIN_LIMITED, outcome="denied", by="API key")
            raise TooManyRequests("Too many attempts. Try again later.", retry_after=verdict.retry_after)

    async def lock_alive(self, db: AsyncSession, actor: Principal) -> bool:
        """Lock the key of a principal whose account is locked; return whether it is alive, and may still do as much."""
        roles = await self._accounts.active_roles(db, actor.user_id)
        alive = select(ApiKey.id).where(ApiKey.id == actor.session_id, ApiKey.expires_at > utc_now()).with_for_update()
        permitted = roles is not None and actor.permissions <= self._accounts.permissions_of(roles)
        return permitted and await db.scalar(alive) is not None

    async def list_of(self, user_id: UUID, params: PageParams) -> tuple[list[ApiKey], str | None]:
        """Return the user's keys, newest first, also those that have expired, until `manage purge` deletes them."""
        own, order = select(ApiKey).where(ApiKey.user_id == user_id), (ApiKey.created_at, ApiKey.id)
        return await self._cursors.fetch(self._database, own, params, order)

    async def create(self, actor: Principal, new: ApiKeyCreate, origin: Client) -> tuple[ApiKey, str]:
        """Make a key; raises `Forbidden` if it could do more than the actor, `Conflict` beyond `ITEMS_PER_USER`."""
        if not frozenset(new.scopes) <= actor.permissions:
            raise denied("A key may do nothing that you may not: choose its scopes from your own permissions.")
        row = ApiKey(user_id=actor.user_id, name=new.name, expires_at=utc_now() + timedelta(days=new.expires_in_days))
        row.scope, row.networks = (" ".join(sorted(set(texts))) for texts in (new.scopes, new.networks))
        async with self._database.transaction() as db:
            await self._sessions.require_alive(db, actor)
            mine = (ApiKey.user_id == actor.user_id, ApiKey.replaced_at.is_(None), ApiKey.expires_at > utc_now())
            if (await db.scalar(select(func.count()).where(*mine)) or 0) >= self._most:
                raise Conflict(f"You have {self._most} API keys, and no more are allowed. End one first.")
            key = await self._add(db, row, origin)
            _emit_event(ApiKeyEvent.API_KEY_CREATED, row)
        return row, key

    async def rotate(self, actor: Principal, key_id: UUID, overlap: timedelta, origin: Client) -> tuple[ApiKey, str]:
        """Make the one successor of a key, with its rights and lifetime; raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as db:
            old, now = await self._lock(db, actor, key_id), utc_now()
            if old.replaced_at is not None or old.expires_at <= now:
                raise Conflict("The key was replaced, or has expired. Make a new one.")
            row = ApiKey(user_id=old.user_id, name=old.name, scope=old.scope, networks=old.networks)
            row.expires_at = now + (old.expires_at - old.created_at)
            old.replaced_at, old.expires_at = now, min(old.expires_at, now + overlap)
            key = await self._add(db, row, origin)
            _emit_event(ApiKeyEvent.API_KEY_ROTATED, old, replaced_by=row.id)
        return row, key

    async def revoke(self, actor: Principal, key_id: UUID) -> None:
        """End a key of the actor; raises `NotFound`."""
        async with self._database.transaction() as db:
            await self._end(db, await self._lock(db, actor, key_id))

    async def keep_or_end(self, db: AsyncSession, user_id: UUID, keep: bool) -> frozenset[str]:  # noqa: FBT001
        """End the keys of a user whose password is reset by mail, unless they are to be kept."""
        for row in () if keep else await db.scalars(select(ApiKey).where(ApiKey.user_id == user_id)):
            await self._end(db, row)
        return frozenset()

    async def report(self, key: str, origin: Client) -> None:
        """End a key that was found somewhere, and mail its owner; the work is the same if it is none."""
        await self._count("leaked", origin.ip)
        named = ApiKey.id == (id_in(key) or UUID(int=0))
        async with self._database.transaction() as db:
            somebody = await db.scalar(_SOMEBODY) or UUID(int=0)
            row = await db.scalar(select(ApiKey).where(named).with_for_update())
            found = row if row is not None and self._is_of(row, key) else None
            user_id, name = (found.user_id, found.name) if found else (somebody, "-")
            if found:
                _emit_event(ApiKeyEvent.API_KEY_LEAKED, found)
            else:
                emit_event(ApiKeyEvent.API_KEY_LEAKED, outcome="failure")
            async with taken_back(db, unless=found is not None):
                await db.execute(delete(ApiKey).where(named))
                await self._mail.alert(db, ApiKeyMail.LEAKED, user_id, name=name)

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` digests of earlier keys anew; return how many. One that does not open is deleted."""
        return await reseal_rows(db, ApiKey, self._sealer, _place, limit)

    async def _lock(self, db: AsyncSession, actor: Principal, key_id: UUID) -> ApiKey:
        await self._sessions.require_alive(db, actor)
        own = select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == actor.user_id)
        if (row := await db.scalar(own.with_for_update())) is None:
            raise NotFound("There is no such API key.")
        return row

    async def _add(self, db: AsyncSession, row: ApiKey, origin: Client) -> str:
        """Add a row, mail its owner, and return its key."""
        row.id, row.created_at = uuid4(), utc_now()
        row.replaced_at = row.last_used_at = row.last_used_ip = None
        key = new_key(row.id)
        row.sealed, row.last_four = self._sealer.seal(digest(key), identity=_place(row)), key[-4:]
        db.add(row)
        await db.flush()
        await self._mail.alert(db, ApiKeyMail.CREATED, row.user_id, origin, name=row.name)
        return key

    async def _end(self, db: AsyncSession, row: ApiKey) -> None:
        await db.delete(row)
        _emit_event(ApiKeyEvent.API_KEY_REVOKED, row)

    def _is_of(self, row: Any, key: str) -> bool:
        """Return whether it is the key of the row, in a time that does not tell how much of it is right."""
        return compare_digest(digest(key), self._opened(row))

    def _opened(self, row: Any) -> bytes:
        with suppress(SealBrokenError):
            return self._sealer.open(row.sealed, identity=_place(row))
        return b""


def _place(row: Any) -> bytes:
    """Return the place of a digest: moved anywhere else, it does not open."""
    return f"api_keys|{row.id}|{row.user_id}".encode()


def _emit_event(event: ApiKeyEvent, row: ApiKey, **more: UUID) -> None:
    emit_event(event, outcome="success", user_id=row.user_id, target_type="api_key", target_id=row.id, **more)
