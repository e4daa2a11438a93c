"""Identities: who an issuer says that somebody is, linked to an account: sign in with one, link, unlink.

An identity is issuer and subject (OpenID Connect Core section 5.7), never an address. One links nothing by itself, and
makes an account only if it is of nobody, for who may register, and verified by the provider.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from app.access.policies import MFA, STEP_UP_MINUTES, Principal
from app.access.roles import Role
from app.core.clock import utc_now
from app.core.crypto import digest
from app.core.database.database import Database, table_of
from app.core.email_address import parse_email_address
from app.core.errors import Conflict, Forbidden, NotFound, require_room
from app.core.events import emit_event
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.mailed.tokens import AccountTokens
from app.features.accounts.service import AccountService, add_account, replace_unconfirmed
from app.features.identity.events import IdentityEvent, IdentityMail
from app.features.identity.logout_token import is_claim
from app.features.identity.models import Identity, IdentitySession
from app.features.identity.provider import FACTOR_SECONDS
from app.features.identity.settings import IdentitySettings, Provider, domain_of
from app.features.sessions.devices import Client
from app.features.sessions.service import SessionService
from app.features.signin.password import Challenge, Channel, Opened, PasswordSignIn, end_unfinished

FEDERATED = "fed"
"""The method of a session (`amr`) that a provider vouches for. RFC 8176 has none for it; this is Microsoft Entra's."""

_ENDED_BY_PROVIDER = "ended at its identity provider"
_MOST_IDENTITIES = 10
_AHEAD = timedelta(minutes=1)
_identity_sessions = table_of(IdentitySession)
_UNKNOWN = "No account is linked with it. Sign in in another way, and link it in your account."
_HAS_ACCOUNT = (
    "There is an account with your e-mail address already. Sign in with your password, and link it in your account."
)
_UNVERIFIED = "No account is linked with it, and the provider has not verified an e-mail address of yours."
_NOT_ASKED = "You were signed in there already, and it did not ask you again. Sign out there first."
_CLOSED_ACCOUNT = "This account cannot be signed in to."


class RefusedIdentity(Forbidden):
    """An identity opens no account; `user_id` is that of the account that it would open."""

    def __init__(self, detail: str, user_id: UUID | None = None) -> None:
        super().__init__(detail)
        self.user_id = user_id


class IdentityService:
    """Keeps the identities of users, and signs in with them."""

    def __init__(self, services: Services) -> None:
        self._database, self._accounts = services[Database], services[AccountService]
        self._sessions, self._tokens = services[SessionService], services[AccountTokens]
        self._passwords, self._mail = services[PasswordSignIn], services[AccountMail]
        self._passwords.completed = _complete
        self._accounts.ways_in.append(lambda user_id: exists().where(Identity.user_id == user_id))
        self._may_register = services[Settings].registration == "open"
        self._labels = {provider.issuer: provider.label for provider in services[IdentitySettings].providers}

    async def sign_in(self, provider: Provider, claims: dict[str, Any], channel: Channel) -> Opened | Challenge:
        """Go on as a password does, with the account of an identity or a new one; raises `Forbidden`, `Conflict`."""
        async with self._transaction() as db:
            identity = await _find(db, provider, claims)
            if identity is None:
                user_id = await self._register(db, provider, claims)
                identity = await self._add(db, user_id, provider, claims, channel.client)
            identity.last_used_at = utc_now()
            channel = channel._replace(since=_authenticated_at(claims))
            method = f"{FEDERATED} {MFA}" if _proved_more(provider, claims, channel.since) else FEDERATED
            result = await (await db.connection()).run_sync(self._proceed, identity.user_id, method, channel)
            if result is None:
                raise RefusedIdentity(_CLOSED_ACCOUNT, identity.user_id)
            db.add(_opened(identity, result, claims.get("sid")))
        self._mail.deliver()
        return result

    async def link(self, actor: Principal, provider: Provider, claims: dict[str, Any], client: Client) -> None:
        """Link an identity to the actor's account; raises `Conflict`, `Unauthenticated` if the session has ended.

        Raises `RefusedIdentity` if the provider says that it has not asked the person just now, as it was told to.
        """
        since = _authenticated_at(claims)
        if since is not None and utc_now() - since > timedelta(minutes=STEP_UP_MINUTES):
            raise RefusedIdentity(_NOT_ASKED)
        async with self._transaction() as db:
            await self._sessions.require_alive(db, actor)
            identity = await _find(db, provider, claims)
            if identity is not None:
                raise Conflict("This sign-in is linked already, with this account or with another one.")
            require_room(len(await _own(db, actor.user_id)), _MOST_IDENTITIES, "linked sign-ins")
            await self._add(db, actor.user_id, provider, claims, client)

    async def unlink(self, actor: Principal, identity_id: UUID, client: Client) -> None:
        """Unlink an identity of the actor, and end what was opened elsewhere; raises `NotFound`, `Conflict`."""
        async with self._database.transaction() as db:
            await self._sessions.require_alive(db, actor)
            own = await _own(db, actor.user_id)
            identity = next((row for row in own if row.id == identity_id), None)
            if identity is None:
                raise NotFound("There is no such linked sign-in.")
            await db.delete(identity)
            await db.flush()
            await self._accounts.require_way_in(db, actor.user_id)
            await self._tokens.end_access(db, actor.user_id, "identity unlinked", keep=actor.session_id)
            label = self._labels.get(identity.issuer, identity.issuer)
            await self._mail.alert(db, IdentityMail.IDENTITY_UNLINKED, actor.user_id, client, provider=label)
            _emit(IdentityEvent.IDENTITY_UNLINKED, identity)

    async def list_own(self, user_id: UUID) -> list[Identity]:
        """Return the identities of a user, the oldest first."""
        async with self._database.read() as db:
            return await _own(db, user_id)

    async def end_sessions(self, provider: Provider, claims: dict[str, Any]) -> None:
        """End what the sign-ins with a provider opened or began, by the subject, the session or both that it names."""
        columns = {"sub": Identity.subject, "sid": IdentitySession.sid}
        named = [column == claims[name] for name, column in columns.items() if name in claims]
        found = select(IdentitySession, Identity.user_id).join(Identity, Identity.id == IdentitySession.identity_id)
        found = found.where(Identity.issuer == provider.issuer, *named)
        async with self._database.transaction() as db:
            for user_id in sorted({user_id for _, user_id in (await db.execute(found)).all()}):
                # No challenge is answered meanwhile.
                await self._accounts.active_roles(db, user_id, lock=True)
            for row, user_id in (await db.execute(found.execution_options(populate_existing=True))).all():
                if row.session_id is None:
                    await end_unfinished(db, user_id)
                else:
                    await self._sessions.end(db, _ENDED_BY_PROVIDER, id=row.session_id)
                await db.delete(row)

    def _proceed(
        self, connection: Connection, user_id: UUID, method: str, channel: Channel
    ) -> Opened | Challenge | None:
        roles = self._accounts.lock_active(connection, user_id)
        return None if roles is None else self._passwords.proceed(connection, user_id, roles, method, channel)

    async def _register(self, db: AsyncSession, provider: Provider, claims: dict[str, Any]) -> UUID:
        """Add the account of a new user; raises `Forbidden`. Only its verified owner learns that an address has one.

        What else a provider says of an address, such as Google's `hd` or the tenant of Entra, proves nothing.
        """
        if not (provider.domains or self._may_register):
            raise RefusedIdentity(_UNKNOWN)
        try:
            address = parse_email_address(claims["email"]) if claims.get("email_verified") is True else None
        except (KeyError, TypeError, ValueError):
            address = None
        if address is None:
            raise RefusedIdentity(_UNVERIFIED)
        if provider.domains and domain_of(address) not in provider.domains:
            raise RefusedIdentity(_UNKNOWN)
        # Nobody has proved to have the mailbox before: what a stranger registered, or was invited, makes room.
        await replace_unconfirmed(db, address.mailbox)
        try:
            return await add_account(db, address.address, address.mailbox, None, [Role.MEMBER])
        except IntegrityError:
            raise RefusedIdentity(_HAS_ACCOUNT) from None

    async def _add(
        self, db: AsyncSession, user_id: UUID, provider: Provider, claims: dict[str, Any], client: Client
    ) -> Identity:
        identity = Identity(user_id=user_id, issuer=provider.issuer, subject=claims["sub"], created_at=utc_now())
        db.add(identity)
        await db.flush()
        await self._mail.alert(db, IdentityMail.IDENTITY_LINKED, user_id, client, provider=provider.label)
        _emit(IdentityEvent.IDENTITY_LINKED, identity)
        return identity

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._database.transaction() as db:
                yield db
        except (IntegrityError, StaleDataError):
            raise Conflict("The same is being done at this moment. Begin again.") from None


async def _find(db: AsyncSession, provider: Provider, claims: dict[str, Any]) -> Identity | None:
    return await db.scalar(
        select(Identity).where(Identity.issuer == provider.issuer, Identity.subject == claims["sub"])
    )


async def _own(db: AsyncSession, user_id: UUID) -> list[Identity]:
    own = select(Identity).where(Identity.user_id == user_id).order_by(Identity.created_at, Identity.id)
    return list(await db.scalars(own))


def _authenticated_at(claims: dict[str, Any]) -> datetime | None:
    """Return when the provider saw the person, if it says so: its own session may be old."""
    seconds, now = claims.get("auth_time") or 0, utc_now()
    is_time = 0 < seconds < (now + _AHEAD).timestamp()  # its clock may be ahead
    return min(datetime.fromtimestamp(seconds, UTC), now) if is_time else None


def _proved_more(provider: Provider, claims: dict[str, Any], since: datetime | None) -> bool:
    """Return whether the provider has asked for a second factor, in a way that the settings name, and not long ago."""
    amr = claims.get("amr")
    said = [claims.get("acr"), *(amr if isinstance(amr, list) else ())]
    is_fresh = since is not None and utc_now() - since < timedelta(seconds=FACTOR_SECONDS)
    return is_fresh and any(value in provider.second_factor for value in said)


def _opened(identity: Identity, result: Opened | Challenge, sid: object) -> IdentitySession:
    """Make the row that knows what an identity opened, or what a second factor opens in its place."""
    row = IdentitySession(identity_id=identity.id, sid=sid if is_claim(sid) else None, created_at=utc_now())
    if isinstance(result, Opened):
        row.session_id = result.session.id
    else:
        row.challenge_hash = digest(result.challenge)
    return row


def _complete(connection: Connection, challenge: str, session_id: UUID) -> None:
    """Note which session the answer to a challenge has opened, if an identity began it."""
    began = update(_identity_sessions).where(_identity_sessions.c.challenge_hash == digest(challenge))
    connection.execute(began.values(session_id=session_id, challenge_hash=None))


def _emit(event: IdentityEvent, identity: Identity) -> None:
    about = {"target_type": "identity", "target_id": identity.id, "issuer": identity.issuer}
    emit_event(event, outcome="success", user_id=identity.user_id, **about)
