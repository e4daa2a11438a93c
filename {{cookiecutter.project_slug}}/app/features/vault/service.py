"""The vault: what users keep here is sealed before it is stored, and opened for its owner alone.

A value that was altered or moved does not open. Lists and reads do not load values, so that they cannot leak them.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretBytes, SecretStr
from sqlalchemy import LargeBinary, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer_group

from app.access.policies import Principal
from app.core.clock import utc_now
from app.core.crypto import KeyRing, Purpose, SealBrokenError, Sealer
from app.core.database.database import Database
from app.core.errors import Conflict, NotFound, Problem, require_room
from app.core.events import Outcome, emit_event
from app.core.logging.secret_shapes import MASK
from app.core.pagination import Cursors, PageParams
from app.core.schemas import Page
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.sessions.service import SessionService
from app.features.vault.events import VaultEvent
from app.features.vault.models import Secret
from app.features.vault.schemas import RevealedSecret, SecretCreate, SecretRead, SecretUpdate

_WITH_VALUES = undefer_group("values")
VAULT_KEY = Purpose("vault/v1")


class Unreadable(Problem):
    """A sealed value does not open. The cause is in the log, as an event."""


class VaultService:
    """Keeps the secrets of each user. The owner is part of every query: another user's secret is not found."""

    def __init__(self, services: Services) -> None:
        self._database, self._sessions = services[Database], services[SessionService]
        self._most, self._cursors = services[Settings].items_per_user, Cursors(services[KeyRing], "secrets")
        self._sealer = Sealer(services[KeyRing], VAULT_KEY)

    async def create(self, actor: Principal, new: SecretCreate) -> SecretRead:
        """Keep a secret; raises `Conflict` if the actor has `ITEMS_PER_USER` secrets."""
        user_id, now = actor.user_id, utc_now()
        secret = Secret(id=uuid4(), user_id=user_id, created_at=now, updated_at=now)
        self._seal(secret, new.model_dump(exclude_unset=True))
        async with self._database.transaction() as db:
            await self._sessions.require_alive(db, actor)
            kept = await db.scalar(select(func.count()).where(Secret.user_id == user_id))
            require_room(kept or 0, self._most, "secrets")
            db.add(secret)
            answer = self.masked(await _find(db, _own(user_id, secret.id)))
            _emit_event(VaultEvent.SECRET_CREATED, secret)
        return answer

    async def list_own(self, user_id: UUID, params: PageParams) -> Page[SecretRead]:
        """Return the user's secrets, masked, newest first."""
        own = select(Secret).where(Secret.user_id == user_id)
        rows, next_cursor = await self._cursors.fetch(self._database, own, params, (Secret.created_at, Secret.id))
        return Page(items=[self.masked(row) for row in rows], next_cursor=next_cursor)

    async def get(self, user_id: UUID, secret_id: UUID) -> SecretRead:
        """Return one secret of the user, masked; raises `NotFound`."""
        async with self._database.read() as db:
            return self.masked(await _find(db, _own(user_id, secret_id)))

    async def change(self, actor: Principal, secret_id: UUID, change: SecretUpdate) -> SecretRead:
        """Change what `change` names; raises `NotFound`, or `Conflict` if no value would be left."""
        own = _own(actor.user_id, secret_id)
        if not change.model_fields_set:
            return await self.get(actor.user_id, secret_id)
        async with self._database.transaction() as db:
            await self._sessions.require_alive(db, actor)
            secret = await _find(db, own.options(_WITH_VALUES).with_for_update())
            self._seal(secret, change.model_dump(exclude_unset=True))
            if secret.secret_string is None and secret.secret_bytes is None:
                raise Conflict("A secret keeps at least one value. Delete it instead.")
            secret.updated_at = utc_now()
            answer = self.masked(await _find(db, own))
            _emit_event(VaultEvent.SECRET_CHANGED, secret)
        return answer

    async def delete(self, actor: Principal, secret_id: UUID) -> None:
        """Delete one secret of the actor; raises `NotFound`."""
        async with self._database.transaction() as db:
            await self._sessions.require_alive(db, actor)
            secret = await _find(db, _own(actor.user_id, secret_id).with_for_update())
            await db.delete(secret)
            _emit_event(VaultEvent.SECRET_DELETED, secret)

    async def reveal(self, user_id: UUID, secret_id: UUID) -> RevealedSecret:
        """Return the values in clear; raises `NotFound` or `Unreadable`."""
        async with self._database.read() as db:
            secret = await _find(db, _own(user_id, secret_id).options(_WITH_VALUES))
        string, data = (self._open(secret, column) for column in ("secret_string", "secret_bytes"))
        _emit_event(VaultEvent.SECRET_REVEALED, secret)
        return RevealedSecret(secret_string=string, secret_bytes=data)

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` secrets of older keys anew; return how many. One that does not open stays (an event)."""
        key_id = self._sealer.key_id
        columns = (Secret.name, Secret.secret_string, Secret.secret_bytes)
        older = or_(*(func.substr(column, 1, len(key_id), type_=LargeBinary) != key_id for column in columns))
        statement = select(Secret).where(older).options(_WITH_VALUES).order_by(Secret.id).with_for_update()
        resealed, after = 0, UUID(int=0)
        while secrets := (await db.scalars(statement.where(Secret.id > after).limit(limit - resealed))).all():
            for secret in secrets:
                with suppress(Unreadable):
                    self._seal(secret, {column.key: self._open(secret, column.key) for column in columns})
                    resealed += 1
            after = secrets[-1].id
        return resealed

    def masked(self, secret: Secret) -> SecretRead:
        """Show a secret without its values. If the name does not open, it is None: the owner can still delete it."""
        name = None
        with suppress(Unreadable):
            name = self._open(secret, "name")
        masks = {
            "secret_string": MASK if secret.has_string else None,
            "secret_bytes": MASK if secret.has_bytes else None,
        }
        return SecretRead.model_validate(vars(secret) | masks | {"name": name and name.decode()})

    def _seal(self, secret: Secret, values: Mapping[str, Any]) -> None:
        """Seal each value into its column; None clears the column."""
        for column, value in values.items():
            clear = value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value
            plain = clear.encode() if isinstance(clear, str) else clear
            sealed = None if plain is None else self._sealer.seal(plain, identity=_place(secret, column))
            setattr(secret, column, sealed)

    def _open(self, secret: Secret, column: str) -> bytes | None:
        """Open the value of a column, if there is one; raises `Unreadable`."""
        sealed: bytes | None = getattr(secret, column)
        if sealed is None:
            return None
        try:
            return self._sealer.open(sealed, identity=_place(secret, column))
        except SealBrokenError:
            _emit_event(VaultEvent.SECRET_UNREADABLE, secret, outcome="failure")
            raise Unreadable("The secret cannot be read.") from None


def _own(user_id: UUID, secret_id: UUID) -> Select[Secret]:
    return select(Secret).where(Secret.id == secret_id, Secret.user_id == user_id)


async def _find(db: AsyncSession, statement: Select[Secret]) -> Secret:
    """Return the secret as the database has it now; raises `NotFound`."""
    secret = await db.scalar(statement.execution_options(populate_existing=True))
    if secret is None:
        raise NotFound("There is no such secret.")
    return secret


def _place(secret: Secret, column: str) -> bytes:
    """Return the place of a sealed value: moved anywhere else, it does not open."""
    return f"secrets|{secret.id}|{secret.user_id}|{column}".encode()


def _emit_event(event: VaultEvent, secret: Secret, *, outcome: Outcome = "success") -> None:
    emit_event(event, outcome=outcome, user_id=secret.user_id, target_type="secret", target_id=secret.id)
