"""What a user decides about a client: a code or none; and what they have allowed so far (ASVS 10.7.1, 10.7.3)."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.policies import STEP_UP_MINUTES
from app.access.principal import Principal
from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.errors import NotFound
from app.core.events.event import SecurityEvent
from app.core.events.flow import emit_event
from app.core.settings.model import Settings
from app.features.accounts.mailed.alerts import Alert
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.service import AccountService
from app.features.authorization.events import ConsentEnd, ConsentEvent
from app.features.authorization.models import AuthorizationCode, Consent
from app.features.authorization.requests import AuthorizationRequest, RefusedRequest, RequestReader, UntrustedRequest
from app.features.oauth.clients.redirect_uris import proves_its_owner
from app.features.oauth.clients.registered import RegisteredClient
from app.features.oauth.clients.service import ClientService
from app.features.sessions.client import Client
from app.features.sessions.service import SessionService

__all__ = [
    "AuthorizationRequest",
    "AuthorizationService",
    "GivenConsent",
    "RefusedRequest",
    "UntrustedRequest",
    "granted",
]

CODE_LIFETIME = timedelta(seconds=60)

# From a new sign-in back to the page, and from the page to a decision.
_WAY_BACK = timedelta(minutes=1)
_TIME_TO_DECIDE = timedelta(minutes=5)
_CODE_PREFIX = "ac_"
_CODE_BYTES = 32


@dataclass(frozen=True, slots=True)
class GivenConsent:
    """What a user has allowed a client, and since when."""

    id: UUID
    client: RegisteredClient
    scope: frozenset[str]
    created_at: datetime
    updated_at: datetime


class AuthorizationService:
    """Turns authorization requests into codes. It knows no HTTP: pages ask it, and go where it says."""

    def __init__(  # noqa: PLR0913, PLR0917  # one for each thing that a decision touches
        self,
        database: Database,
        settings: Settings,
        accounts: AccountService,
        sessions: SessionService,
        clients: ClientService,
        mail: AccountMail,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._sessions = sessions
        self._clients = clients
        self._mail = mail
        self._reader = RequestReader(clients, settings.public_url)

    async def check(self, pairs: Sequence[tuple[str, str]]) -> AuthorizationRequest:
        """Read the query of an authorization request, as its names and values in order.

        Raises `UntrustedRequest`, for a page, or `RefusedRequest`, for a redirect to its `location`.
        """
        return await self._reader.read(pairs)

    def needs_sign_in(self, request: AuthorizationRequest, authenticated_at: datetime) -> bool:
        """Whether the client wants a user who proved who they are later than that (RFC 9470).

        A sign-in of the last minute is new enough for any `max_age`: it was asked for, and the browser is on its way
        back. For `prompt=login` none is: the page that asks for it leads back to the same request without it.
        """
        if "login" in request.prompt:
            return True
        if request.max_age is None:
            return False
        return utc_now() - authenticated_at > max(timedelta(seconds=request.max_age), _WAY_BACK)

    def consent_needs_sign_in(self, principal: Principal, request: AuthorizationRequest) -> bool:
        """Whether the sign-in is too long ago to allow this: more than reading takes a recent one (ASVS 7.5.3)."""
        reads_alone = all(name.endswith(":read") for name in granted(principal, request))
        return not reads_alone and utc_now() - principal.authenticated_at > timedelta(minutes=STEP_UP_MINUTES)

    async def needs_consent(self, principal: Principal, request: AuthorizationRequest) -> bool:
        """Whether the user is to be asked: not for the service itself, nor for what they have allowed.

        What they have allowed is what they could give then: rights that came later are asked about.

        A public client that anybody could pretend to be is asked about every time, a first-party one too (RFC 8252
        section 8.6), and any with `prompt=consent`.
        """
        client = request.client
        if "consent" in request.prompt:
            return True
        if client.own:
            return False
        if not client.confidential and not proves_its_owner(request.redirect_uri):
            return True
        if client.first_party:
            return False
        mine = (Consent.user_id == principal.user_id, Consent.client_id == request.client.id)
        async with self._database.read() as db:
            allowed = await db.scalar(select(Consent.scope).where(*mine))
        return allowed is None or not granted(principal, request) <= frozenset(allowed.split())

    async def approve(self, principal: Principal, request: AuthorizationRequest, origin: Client) -> str:
        """Give the client a code: the address to send the browser to.

        The user has agreed, or need not be asked. What the client gets is what it asks for, as far as the user may do
        it. Raises `RefusedRequest` where that is nothing, or where the sign-in is too long ago.
        """
        if self.needs_sign_in(request, principal.authenticated_at + _TIME_TO_DECIDE):
            self.refuse(request, "login_required", "The user signed in too long ago.")
        scope = self.require_grantable(principal, request)
        code, now = _CODE_PREFIX + secrets.token_urlsafe(_CODE_BYTES), utc_now()
        row = {
            "code_hash": code_digest(code),
            "created_at": now,
            "expires_at": now + CODE_LIFETIME,
            "client_id": request.client.id,
            "user_id": principal.user_id,
            "session_id": principal.session_id,
            "redirect_uri": request.redirect_uri,
            "code_challenge": request.code_challenge,
            "scope": " ".join(sorted(scope)),
            "methods": " ".join(principal.methods),
            "authenticated_at": principal.authenticated_at,
        }
        async with self._database.transaction() as db:
            may = await self._accounts.active_roles(db, principal.user_id, lock=True) is not None
            held = may and await self._clients.hold(db, request.client)
            if held and await self._sessions.lock_alive(db, principal.session_id):
                await db.execute(insert(AuthorizationCode), row)
                if not request.client.first_party:
                    await self._remember(db, principal.user_id, request.client, scope, origin)
            else:
                held = False
        if not held:
            return self.deny(request)
        return self._reader.answer(request.redirect_uri, request.state, code=code)

    def require_grantable(self, principal: Principal, request: AuthorizationRequest) -> frozenset[str]:
        """What the client would get; raises `RefusedRequest` where that is nothing."""
        scope = granted(principal, request)
        if not scope:
            self.refuse(request, "invalid_scope", "The user may do nothing of the scope.")
        return scope

    def refuse(self, request: AuthorizationRequest, error: str, description: str) -> NoReturn:
        """Raise the `RefusedRequest` that tells the client why it gets no code."""
        self._reader.refuse(request.redirect_uri, request.state, error, description)

    async def decline(self, principal: Principal, request: AuthorizationRequest) -> str:
        """Give the client nothing, as the user says: the address to send the browser to."""
        scope = " ".join(sorted(request.scope))
        _emit_event(ConsentEvent.CONSENT_DENIED, principal.user_id, request.client, scope=scope)
        return self.deny(request)

    def deny(self, request: AuthorizationRequest) -> str:
        """Give the client nothing: the address to send the browser to."""
        return self._reader.answer(request.redirect_uri, request.state, error="access_denied")

    async def consents(self, user_id: UUID) -> list[GivenConsent]:
        """What the user has allowed, the newest first."""
        mine = select(Consent).where(Consent.user_id == user_id).order_by(Consent.created_at.desc(), Consent.id)
        async with self._database.read() as db:
            rows = (await db.scalars(mine)).all()
            clients = await self._clients.by_ids(db, {row.client_id for row in rows})
        return [
            GivenConsent(row.id, clients[row.client_id], frozenset(row.scope.split()), row.created_at, row.updated_at)
            for row in rows
            if row.client_id in clients
        ]

    async def revoke_consent(self, actor: Principal, consent_id: UUID) -> None:
        """Take back what the user has allowed a client: its sessions and codes of the user end. Raises `NotFound`."""
        user_id = actor.user_id
        mine = (Consent.id == consent_id, Consent.user_id == user_id)
        async with self._database.transaction() as db:
            # It locks the account, so that no code of the user is being exchanged meanwhile.
            await self._sessions.require_alive(db, actor)
            client_id = await db.scalar(delete(Consent).where(*mine).returning(Consent.client_id))
            client = client_id and (await self._clients.by_ids(db, {client_id})).get(client_id)
            if client:
                await self._sessions.end_all_of_client(
                    db, client.client_id, ConsentEnd.CONSENT_REVOKED, user_id=user_id
                )
                theirs = (AuthorizationCode.client_id == client_id, AuthorizationCode.user_id == user_id)
                await db.execute(delete(AuthorizationCode).where(*theirs))
                _emit_event(ConsentEvent.CONSENT_REVOKED, user_id, client)
        if not client:
            raise NotFound("There is no such consent.")

    async def end_all(self, db: AsyncSession, user_id: UUID) -> None:
        """Take back all that a user has allowed; the caller has locked the account, and ends its sessions and codes."""
        taken = (await db.scalars(delete(Consent).where(Consent.user_id == user_id).returning(Consent.client_id))).all()
        for client in (await self._clients.by_ids(db, set(taken))).values():
            _emit_event(ConsentEvent.CONSENT_REVOKED, user_id, client)

    async def client_ids(self, db: AsyncSession, user_id: UUID) -> frozenset[str]:
        """The clients that a user has allowed, as their sessions name them."""
        allowed = set(await db.scalars(select(Consent.client_id).where(Consent.user_id == user_id)))
        return frozenset(client.client_id for client in (await self._clients.by_ids(db, allowed)).values())

    async def end_codes(self, db: AsyncSession, user_id: UUID) -> None:
        """End the codes of a user that no client has used. One that was used stays: a second use is to be noticed."""
        unused = (AuthorizationCode.user_id == user_id, AuthorizationCode.used_at.is_(None))
        await db.execute(delete(AuthorizationCode).where(*unused))

    async def _remember(
        self, db: AsyncSession, user_id: UUID, client: RegisteredClient, added: frozenset[str], origin: Client
    ) -> None:
        """Keep what the user has granted, beside what they granted before, and tell them; their account is locked."""
        mine = (Consent.user_id == user_id, Consent.client_id == client.id)
        allowed, now = await db.scalar(select(Consent.scope).where(*mine)), utc_now()
        scope = " ".join(sorted(added.union((allowed or "").split())))
        if allowed is None:
            row = {"id": uuid4(), "created_at": now, "updated_at": now, "user_id": user_id, "scope": scope}
            await db.execute(insert(Consent), {**row, "client_id": client.id})
        elif scope != allowed:
            await db.execute(update(Consent).where(*mine).values(scope=scope, updated_at=now))
        else:
            return
        await self._mail.alert(db, Alert.NEW_APPLICATION, user_id, origin, application=client.name)
        _emit_event(ConsentEvent.CONSENT_GIVEN, user_id, client, scope=scope)


def granted(principal: Principal, request: AuthorizationRequest) -> frozenset[str]:
    """What the client gets of what it asks for: as much as the user may do, with the sign-in that decides."""
    return request.scope & principal.permissions


def code_digest(code: str) -> bytes:
    """What is stored of a code."""
    return hashlib.sha256(code.encode()).digest()


def _emit_event(event: SecurityEvent, user_id: UUID, client: RegisteredClient, **fields: object) -> None:
    emit_event(event, outcome="success", user_id=user_id, target_type="client", target_id=client.id, **fields)
