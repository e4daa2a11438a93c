"""The factors of each user: each state sealed to row, user and kind, and used while the account is locked.

The sessions of a user with a factor have `mfa` among their methods, and those of a user without one have not: a change
of factors ends every other session, and gives its own the methods that it has proved (ASVS 7.4.3).
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
from pydantic import SecretStr
from sqlalchemy import Connection, ForeignKey, LargeBinary, Row, String, bindparam, delete, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.access.policies import MFA, Principal
from app.core.clock import utc_now
from app.core.crypto import KeyRing, Purpose, SealBrokenError, Sealer, digest, new_token
from app.core.database.batches import reseal_rows
from app.core.database.database import Base, Database, table_of
from app.core.errors import BadRequest, Conflict, Forbidden, NotFound, require_room
from app.core.events import emit_event
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.accounts.administration import AccountAdministration, denied
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.mailed.tokens import AccountTokens
from app.features.accounts.service import AccountService
from app.features.factors import kinds
from app.features.factors.events import FactorEvent, FactorMail
from app.features.factors.kinds import APP, KINDS, PASSKEY, RECOVERY, FactorKind
from app.features.factors.passkeys import CopiedPasskeyError, RelyingParty, passkey_id
from app.features.factors.schemas import (
    EnrolmentRead,
    FactorAnswer,
    FactorCreate,
    FactorRead,
    OfferedCode,
    OfferedPasskey,
)
from app.features.sessions.devices import Client
from app.features.sessions.service import SessionService, SetCookie

_ENROLMENT_LIFETIME, _MOST_FACTORS = timedelta(minutes=15), 10
_ADDED = "This factor was added already, or your factors have changed meanwhile."


class Factor(Base):
    """A factor of a user besides the password; `sealed` is the state that its kind reads (`kinds.py`)."""

    __tablename__ = "factors"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    last_used_ip: Mapped[str | None] = mapped_column(String(45))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class Enrolment(Base):
    """A factor that is being added in a session, as the SHA-256 of its token; `sealed` is empty once it is added."""

    __tablename__ = "enrolments"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    expires_at: Mapped[datetime] = mapped_column(index=True)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)


FACTOR_KEY = Purpose("factor/v1")

OF_USER = select(table_of(Factor)).where(Factor.user_id == bindparam("of_user")).order_by(Factor.created_at)


class FactorService:
    """Keeps factors. Of what takes a connection, the caller has locked the account."""

    def __init__(self, services: Services) -> None:
        self._database, self._accounts = services[Database], services[AccountService]
        self._sessions, self._tokens = services[SessionService], services[AccountTokens]
        self._mail, self._issuer = services[AccountMail], services[Settings].app_name
        self._sealer, self._party = Sealer(services[KeyRing], FACTOR_KEY), RelyingParty(services[Settings])
        self._administration = services[AccountAdministration]
        self._accounts.ways_in.append(lambda user_id: exists().where(Factor.user_id == user_id, Factor.kind == PASSKEY))

    def of_user(self, connection: Connection, user_id: UUID) -> Sequence[Row[Any]]:
        """Return the factors of a user: one indexed look-up for every sign-in."""
        return connection.execute(OF_USER, {"of_user": user_id}).all()

    def offered(self, rows: Sequence[Row[Any]] | None, challenge: str) -> list[OfferedCode | OfferedPasskey]:
        """Return the kinds that answer a challenge, a passkey with its options; any passkey, if there are no rows."""
        passkey = OfferedPasskey(options=self._party.request(challenge, self._passkeys(rows or ())))
        kinds_of = (PASSKEY,) if rows is None else dict.fromkeys(row.kind for row in rows)
        return [passkey if kind == PASSKEY else OfferedCode(kind=kind) for kind in kinds_of]

    def owner(self, connection: Connection, answer: FactorAnswer) -> UUID | None:
        """Return whose passkey an answer is of; None if it is of another kind, or of nobody."""
        named = passkey_id(answer.credential, of_somebody=True) if answer.kind == PASSKEY else None
        return connection.scalar(select(Factor.user_id).where(Factor.id == named, Factor.kind == PASSKEY))

    def use(
        self, connection: Connection, user_id: UUID, answer: FactorAnswer, challenge: str, client: Client
    ) -> str | None:
        """Check an answer, and note its use; return its method (`amr`) if it is right."""
        named = passkey_id(answer.credential) if answer.kind == PASSKEY else None
        for row in self.of_user(connection, user_id):
            if row.kind != answer.kind or row.id != (named or row.id) or (state := self._open(row)) is None:
                continue
            try:
                if answer.kind == PASSKEY:
                    used = self._party.use(challenge, state, user_id, answer.credential)
                else:
                    used = kinds.use_code(answer.kind, state, answer.code)
            except CopiedPasskeyError:
                used = None
                emit_event(FactorEvent.PASSKEY_COPIED, outcome="denied", user_id=user_id, target_id=row.id)
                self._mail.put_alert(connection, FactorMail.PASSKEY_COPIED, user_id, client, {"factor": row.name})
            if used is not None:
                values = {"sealed": self._seal(row, used), "last_used_at": utc_now(), "last_used_ip": client.ip}
                connection.execute(update(Factor).where(Factor.id == row.id).values(values))
                if answer.kind == RECOVERY:
                    left = {"left": str(len(used) // kinds.DIGEST_BYTES)}
                    self._mail.put_alert(connection, FactorMail.RECOVERY_CODE_USED, user_id, client, left)
                return KINDS[answer.kind].method
        emit_event(FactorEvent.FACTOR_FAILED, outcome="failure", user_id=user_id, kind=answer.kind)
        return None

    async def list_own(self, user_id: UUID) -> list[FactorRead]:
        """Return what a user sees of their factors, the oldest first."""
        async with self._database.read() as db:
            return [self._read(row) for row in await db.execute(OF_USER, {"of_user": user_id})]

    async def begin(self, actor: Principal, kind: FactorKind, again: SecretStr | None = None) -> EnrolmentRead:
        """Begin to add a factor in this session. Or show that of `again`."""
        user = await self._accounts.get(actor.user_id)
        if again is None:
            again, ends = SecretStr(token := new_token()), utc_now() + _ENROLMENT_LIFETIME
            row = Enrolment(token_hash=digest(token), session_id=actor.session_id, kind=kind, expires_at=ends)
            async with self._database.transaction() as db:
                rows = await self._locked(db, actor)
                new = _together(rows) if kind == PASSKEY else kinds.new_app()
                row.sealed = self._sealer.seal(new, identity=_begun_in(row))
                db.add(row)
        state = await self._enrolled(actor, kind, again)
        async with self._database.read() as db:
            rows = (await db.execute(OF_USER, {"of_user": actor.user_id})).all()
        text, lifetime = again.get_secret_value(), int(_ENROLMENT_LIFETIME.total_seconds())
        names = (user.email, user.display_name or user.email)
        options = self._party.creation(text, user.id, names, self._passkeys(rows)) if kind == PASSKEY else None
        secret, uri = kinds.app_secret(state, user.email, self._issuer) if kind == APP else (None, None)
        shown: dict[str, Any] = {"secret": secret, "otpauth_uri": uri, "options": options}
        return EnrolmentRead(kind=kind, enrolment=text, expires_in=lifetime, **shown)

    async def add(self, actor: Principal, body: FactorCreate, client: Client) -> tuple[FactorRead, SetCookie]:
        """Add the factor of an enrolment, once, and recovery codes; raises `BadRequest`, `Forbidden` or `Conflict`."""
        kind, enrolment = body.kind, body.enrolment or SecretStr("")
        new, factor_id = await self._enrolled(actor, kind, enrolment), None
        state = kinds.use_code(kind, new, body.code)
        if kind == PASSKEY:
            state = self._party.register(enrolment.get_secret_value(), body.credential)
            factor_id = passkey_id(body.credential)
        if state is None:
            who = {"user_id": actor.user_id, "session_id": actor.session_id}
            emit_event(FactorEvent.FACTOR_ADDED, outcome="failure", **who, kind=kind)
            raise Forbidden("The answer is wrong. Use the newest one.")
        try:
            async with self._database.transaction() as db:
                rows = await self._locked(db, actor)
                require_room(len(rows), _MOST_FACTORS, "factors")
                used = update(Enrolment).where(Enrolment.token_hash == digest(enrolment.get_secret_value()))
                used = used.where(Enrolment.sealed.is_not(None)).values(sealed=None).returning(Enrolment.kind)
                if (kind == PASSKEY and new != _together(rows)) or await db.scalar(used) is None:
                    raise Conflict(_ADDED)
                row, codes = self._new(actor.user_id, kind, state, factor_id), None
                row.name = body.name or row.name
                db.add(row)
                if not rows:
                    recovery, codes = kinds.new_recovery_codes()
                    db.add(self._new(actor.user_id, RECOVERY, recovery))
                now = replace(actor, methods=tuple(dict.fromkeys((*actor.methods, KINDS[kind].method, MFA))))
                set_cookie = await self._changed(db, now, FactorEvent.FACTOR_ADDED, row, client)
        except IntegrityError:
            raise Conflict(_ADDED) from None
        return self._read(row, codes), set_cookie

    async def remake_codes(self, actor: Principal, client: Client) -> tuple[FactorRead, SetCookie]:
        """Replace the recovery codes; raises `Conflict` if the actor has no other factor."""
        async with self._database.transaction() as db:
            if all(row.kind == RECOVERY for row in await self._locked(db, actor)):
                raise Conflict("Recovery codes stand in for another factor: add one first.")
            await db.execute(delete(Factor).where(Factor.user_id == actor.user_id, Factor.kind == RECOVERY))
            state, codes = kinds.new_recovery_codes()
            row = self._new(actor.user_id, RECOVERY, state)
            db.add(row)
            set_cookie = await self._changed(db, actor, FactorEvent.FACTOR_ADDED, row, client)
        return self._read(row, codes), set_cookie

    async def remove(self, actor: Principal, factor_id: UUID, client: Client) -> SetCookie:
        """Remove a factor, with the last one the recovery codes; raises `NotFound`, or `Conflict` if it has to stay."""
        async with self._database.transaction() as db:
            rows = await self._locked(db, actor)
            row = next((row for row in rows if row.id == factor_id), None)
            if row is None:
                raise NotFound("There is no such factor.")
            last = all(other.kind == RECOVERY for other in rows if other is not row)
            now = replace(actor, methods=actor.methods[:1]) if last else actor
            if last and self._accounts.needs_factor(actor.roles, now.methods):
                raise Conflict("Your role demands a second factor: add another one first.")
            await db.execute(delete(Factor).where(Factor.user_id == actor.user_id if last else Factor.id == factor_id))
            await self._accounts.require_way_in(db, actor.user_id)
            return await self._changed(db, now, FactorEvent.FACTOR_REMOVED, row, client)

    async def drop_password(self, actor: Principal, client: Client) -> SetCookie:
        """Forget the password of an actor who has proved a passkey in this session; raises `Conflict` for any other."""
        async with self._database.transaction() as db:
            row = next((row for row in await self._locked(db, actor) if row.kind == PASSKEY), None)
            if row is None or KINDS[PASSKEY].method not in actor.methods:
                raise Conflict("Add a passkey, or sign in with yours: then you need no password.")
            await self._accounts.drop_password(db, actor.user_id)
            return await self._changed(db, actor, FactorEvent.PASSWORD_REMOVED, row, client)

    async def reset(self, actor: Principal, user_id: UUID) -> None:
        """Remove all factors of another account, for an administrator; its sessions end."""
        if user_id == actor.user_id:
            raise denied("An administrator resets the factors of others. Remove your own in your account.")
        async with self._administration.locked(actor, user_id) as (db, _, _):
            await db.execute(delete(Factor).where(Factor.user_id == user_id))
            await self._tokens.end_access(db, user_id, "factors changed")
            await self._mail.alert(db, FactorMail.FACTOR_REMOVED, user_id, factor="all of them, by an administrator")
            emit_event(FactorEvent.FACTORS_RESET, outcome="success", user_id=actor.user_id, target_id=user_id)

    def copied(self, row: Factor) -> dict[str, object]:
        """Return what a copy of one's data has of a passkey's state: its counter, and what is known of its backup."""
        known = orjson.loads(self._open(row) or "{}") if row.kind == PASSKEY else {}
        return {name: known[name] for name in known.keys() & {"count", "backed_up", "device"}}

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` rows of earlier keys with the current one; return how many."""
        factors = await reseal_rows(db, Factor, self._sealer, _place, limit)
        return factors or await reseal_rows(db, Enrolment, self._sealer, _begun_in, limit)

    async def _locked(self, db: AsyncSession, actor: Principal) -> Sequence[Row[Any]]:
        """Lock the account and its session, and return its factors; raises `Unauthenticated`, or `Conflict`."""
        await self._sessions.require_alive(db, actor)
        rows = (await db.execute(OF_USER, {"of_user": actor.user_id})).all()
        if rows and MFA not in actor.methods:  # The same session has added the first one meanwhile.
            raise Conflict("Your second factors have just changed. Try again.")
        return rows

    async def _changed(
        self, db: AsyncSession, now: Principal, event: FactorEvent, row: Row[Any] | Factor, client: Client
    ) -> SetCookie:
        """End what was opened before but this session, which is what `now` says; tell the owner."""
        await self._tokens.end_access(db, now.user_id, "factors changed", keep=now.session_id)
        scope = " ".join(sorted(self._accounts.permitted(now.roles, now.methods)))
        await self._sessions.prove(db, now.session_id, " ".join(now.methods), scope)
        await self._mail.alert(db, FactorMail[event.name], now.user_id, client, factor=row.name)
        emit_event(event, outcome="success", user_id=now.user_id, session_id=now.session_id, kind=row.kind)
        return await self._sessions.renew_cookie(db, now)

    def _new(self, user_id: UUID, kind: FactorKind, state: bytes, factor_id: UUID | None = None) -> Factor:
        row = Factor(id=factor_id or uuid4(), user_id=user_id, kind=kind, name=KINDS[kind].label, created_at=utc_now())
        row.sealed = self._seal(row, state)
        return row

    def _read(self, row: Row[Any] | Factor, codes: list[str] | None = None) -> FactorRead:
        state = self._open(row) if row.kind == RECOVERY else None
        left = None if state is None else len(state) // kinds.DIGEST_BYTES
        return FactorRead.model_validate(row).model_copy(update={"remaining": left, "recovery_codes": codes})

    async def _enrolled(self, actor: Principal, kind: FactorKind, token: SecretStr) -> bytes:
        """Return the state of the factor that is being added; raises `BadRequest`, or `Conflict` if it was added."""
        token_hash, alive = digest(token.get_secret_value()), select(Enrolment).where(Enrolment.expires_at > utc_now())
        async with self._database.read() as db:
            row = await db.scalar(alive.filter_by(token_hash=token_hash, session_id=actor.session_id, kind=kind))
        with suppress(SealBrokenError):
            if row and row.sealed is None:
                raise Conflict(_ADDED)
            if row and row.sealed:
                return self._sealer.open(row.sealed, identity=_begun_in(row))
        raise BadRequest("The enrolment has expired, or is of another session. Begin again.")

    def _passkeys(self, rows: Iterable[Row[Any]]) -> list[bytes]:
        return [state for row in rows if row.kind == PASSKEY and (state := self._open(row))]

    def _seal(self, row: Row[Any] | Factor, state: bytes) -> bytes:
        return self._sealer.seal(state, identity=_place(row))

    def _open(self, row: Row[Any] | Factor) -> bytes | None:
        with suppress(SealBrokenError):
            return self._sealer.open(row.sealed, identity=_place(row))
        return None


def _place(row: Row[Any] | Factor) -> bytes:
    """Return the place of a state: moved to another row, user or kind, it does not open."""
    return b"factors|%b|%b|%b" % (row.id.bytes, row.user_id.bytes, row.kind.encode())


def _begun_in(row: Enrolment) -> bytes:
    return b"enrolment|%b|%b|%b" % (row.token_hash, row.session_id.bytes, row.kind.encode())


def _together(rows: Iterable[Row[Any]]) -> bytes:
    """Return a digest of the factors that there are: an enrolment of a passkey ends with any change of them."""
    return digest(" ".join(sorted(str(row.id) for row in rows)))
