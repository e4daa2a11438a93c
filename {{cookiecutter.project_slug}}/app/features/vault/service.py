"""The vault: what a user keeps here is sealed before it is stored, and opened for its owner alone.

Nothing is stored in clear but who has how many secrets since when. A value that was altered, or moved to another row,
owner or column, does not open. Lists and reads never load the values, so that they cannot leak them.
"""

from typing import Any, TypeVar
from uuid import UUID, uuid4

from pydantic import SecretBytes, SecretStr
from sqlalchemy import ColumnElement, LargeBinary, Row, Select, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.access.principal import Principal
from app.core.clock import utc_now
from app.core.crypto.keys import KeyRing, Purpose
from app.core.crypto.sealing import SealBrokenError, Sealer
from app.core.database.database import Database
from app.core.database.locks import lock_for_user
from app.core.errors import Conflict, NotFound, Problem
from app.core.events.event import SecurityEvent
from app.core.events.flow import Outcome, emit_event
from app.core.logging.secret_shapes import MASK
from app.core.pagination import Cursors, PageParams
from app.core.settings.model import Settings
from app.features.sessions.service import SessionService
from app.features.vault.events import VaultEvent
from app.features.vault.models import Secret
from app.features.vault.schemas import RevealedSecret, SecretCreate, SecretRead, SecretUpdate


class VaultKey(Purpose):
    """Keys of secrets in the vault."""

    VAULT = "vault/v1"


_Found = TypeVar("_Found")

_SEALED_COLUMNS = ("name", "secret_string", "secret_bytes")

_SHOWN: tuple[ColumnElement[Any] | InstrumentedAttribute[Any], ...] = (
    Secret.id,
    Secret.user_id,
    Secret.created_at,
    Secret.updated_at,
    Secret.name,
    Secret.secret_string.is_not(None).label("has_string"),
    Secret.secret_bytes.is_not(None).label("has_bytes"),
)


class Unreadable(Problem):
    """A sealed value does not open. The fault is the service's, and it says no more: the log has the event."""

    status, title = 500, "Internal Server Error"


class VaultService:
    """Keeps the secrets of each user. Whose a secret is, is part of every query: what is not yours is not there."""

    def __init__(self, database: Database, sessions: SessionService, settings: Settings, keys: KeyRing) -> None:
        self._database = database
        self._sessions = sessions
        self._items_per_user = settings.items_per_user
        self._sealer = Sealer(keys, VaultKey.VAULT)
        self._cursors = Cursors(keys, "secrets")

    async def create(self, actor: Principal, new: SecretCreate) -> SecretRead:
        """Keep a secret; raises `Conflict` where the user has as many as one may have."""
        user_id, now = actor.user_id, utc_now()
        secret = Secret(id=uuid4(), user_id=user_id, created_at=now, updated_at=now)
        self._seal(secret, new)
        async with self._database.transaction() as db:
            await self._sessions.require_alive(db, actor)
            await self._require_room(db, user_id)
            db.add(secret)
            answer = await self._show(db, user_id, secret.id)
            _emit_event(VaultEvent.SECRET_CREATED, user_id, secret.id)
        return answer

    async def list_masked(self, user_id: UUID, params: PageParams) -> tuple[list[SecretRead], str | None]:
        """The user's secrets, newest first, and the cursor of the next part."""
        statement = select(*_SHOWN).where(Secret.user_id == user_id)
        statement = self._cursors.select(statement, params, (Secret.created_at, Secret.id))
        async with self._database.read() as db:
            rows = (await db.execute(statement)).all()
        items, next_cursor = self._cursors.page([self._masked(row) for row in rows], params)
        return list(items), next_cursor

    async def get(self, user_id: UUID, secret_id: UUID) -> SecretRead:
        """One secret of the user, masked; raises `NotFound`."""
        async with self._database.read() as db:
            return await self._show(db, user_id, secret_id)

    async def change(self, actor: Principal, secret_id: UUID, change: SecretUpdate) -> SecretRead:
        """Change what `change` names; raises `NotFound`, or `Conflict` where no value would be left."""
        user_id = actor.user_id
        if not change.model_fields_set:
            return await self.get(user_id, secret_id)
        async with self._database.transaction() as db:
            await self._sessions.require_alive(db, actor)
            secret = _found(await db.scalar(_one(user_id, secret_id).with_for_update()))
            self._seal(secret, change)
            if secret.secret_string is None and secret.secret_bytes is None:
                raise Conflict("A secret keeps at least one value. Delete it instead.")
            secret.updated_at = utc_now()
            answer = await self._show(db, user_id, secret_id)
            _emit_event(VaultEvent.SECRET_CHANGED, user_id, secret_id)
        return answer

    async def delete(self, actor: Principal, secret_id: UUID) -> None:
        """Delete one secret of the actor; raises `NotFound`."""
        mine = (Secret.id == secret_id, Secret.user_id == actor.user_id)
        async with self._database.transaction() as db:
            await self._sessions.require_alive(db, actor)
            _found(await db.scalar(delete(Secret).where(*mine).returning(Secret.id)))
            _emit_event(VaultEvent.SECRET_DELETED, actor.user_id, secret_id)

    async def reveal(self, user_id: UUID, secret_id: UUID) -> RevealedSecret:
        """The values in clear; raises `NotFound` or `Unreadable`."""
        async with self._database.read() as db:
            secret = _found(await db.scalar(_one(user_id, secret_id)))
        string, data = (self._open(secret, column) for column in ("secret_string", "secret_bytes"))
        _emit_event(VaultEvent.SECRET_REVEALED, user_id, secret_id)
        return RevealedSecret(secret_string=string, secret_bytes=data)

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` secrets anew that another key than the current one sealed, and say how many those were.

        0 means that none is left that opens. It needs no memory of the calls before, so it can be ended at any time and
        begun again. A secret that does not open stays as it is, and is told of by an event.
        """
        resealed, after = 0, UUID(int=0)
        while resealed < limit:
            statement = self._sealed_by_another_key().where(Secret.id > after).limit(limit - resealed)
            secrets = (await db.scalars(statement)).all()
            if not secrets:
                break
            resealed += sum(self._reseal(secret) for secret in secrets)
            after = secrets[-1].id
        return resealed

    async def _require_room(self, db: AsyncSession, user_id: UUID) -> None:
        """Raise `Conflict` if the user has reached the limit. It holds under concurrent requests."""
        await lock_for_user(db, "secrets", user_id)
        kept = await db.scalar(select(func.count()).where(Secret.user_id == user_id))
        if kept is None or kept >= self._items_per_user:
            raise Conflict(f"You keep {self._items_per_user} secrets, and no more are allowed. Delete one first.")

    async def _show(self, db: AsyncSession, user_id: UUID, secret_id: UUID) -> SecretRead:
        statement = select(*_SHOWN).where(Secret.id == secret_id, Secret.user_id == user_id)
        return self._masked(_found((await db.execute(statement)).one_or_none()))

    def _masked(self, row: Row[Any]) -> SecretRead:
        """The secret as it is shown. One whose name is broken is shown without: its owner can still delete it."""
        try:
            name = self._open(row, "name")
        except Unreadable:
            name = None
        return SecretRead(
            id=row.id,
            name=name and name.decode(),
            secret_string=MASK if row.has_string else None,
            secret_bytes=MASK if row.has_bytes else None,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    def _seal(self, secret: Secret, given: SecretUpdate) -> None:
        """Seal what is given into its column: what is left out stays, null clears."""
        for column in given.model_fields_set.intersection(_SEALED_COLUMNS):
            self._put(secret, column, _plain(getattr(given, column)))

    def _put(self, secret: Secret, column: str, value: bytes | None) -> None:
        sealed = None if value is None else self._sealer.seal(value, identity=_place(secret, column))
        setattr(secret, column, sealed)

    def _open(self, secret: Secret | Row[Any], column: str) -> bytes | None:
        """What is sealed in the column, if anything; raises `Unreadable`."""
        sealed: bytes | None = getattr(secret, column)
        if sealed is None:
            return None
        try:
            return self._sealer.open(sealed, identity=_place(secret, column))
        except SealBrokenError:
            _emit_event(VaultEvent.SECRET_UNREADABLE, secret.user_id, secret.id, outcome="failure")
            raise Unreadable("The secret cannot be read.") from None

    def _sealed_by_another_key(self) -> Select[Secret]:
        key_id = self._sealer.key_id
        columns = (Secret.name, Secret.secret_string, Secret.secret_bytes)
        other = (func.substr(column, 1, len(key_id), type_=LargeBinary) != key_id for column in columns)
        return select(Secret).where(or_(*other)).order_by(Secret.id).with_for_update()

    def _reseal(self, secret: Secret) -> bool:
        try:
            opened = {column: self._open(secret, column) for column in _SEALED_COLUMNS}
        except Unreadable:
            return False
        for column, value in opened.items():
            self._put(secret, column, value)
        return True


def _found(row: _Found | None) -> _Found:
    if row is None:
        raise NotFound("There is no such secret.")
    return row


def _one(user_id: UUID, secret_id: UUID) -> Select[Secret]:
    return select(Secret).where(Secret.id == secret_id, Secret.user_id == user_id)


def _plain(value: str | SecretStr | SecretBytes | None) -> bytes | None:
    """What is sealed: a text in UTF-8."""
    clear = value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value
    return clear.encode() if isinstance(clear, str) else clear


def _place(secret: Secret | Row[Any], column: str) -> bytes:
    """Where a sealed value belongs: moved anywhere else, it does not open."""
    return f"secrets|{secret.id}|{secret.user_id}|{column}".encode()


def _emit_event(event: SecurityEvent, user_id: UUID, secret_id: UUID, *, outcome: Outcome = "success") -> None:
    emit_event(event, outcome=outcome, user_id=user_id, target_type="secret", target_id=secret_id)
