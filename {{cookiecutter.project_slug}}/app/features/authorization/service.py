"""The decisions of users about clients: a code or none, and the consents so far (ASVS 10.7.1, 10.7.3)."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.policies import STEP_UP_MINUTES, Principal
from app.core.clock import utc_now
from app.core.crypto import digest, new_token
from app.core.database.database import Database
from app.core.errors import NotFound
from app.core.events import ACTOR, SecurityEvent, emit_event
from app.core.services import Services
from app.features.accounts.events import Alert
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.service import AccountService
from app.features.authorization.models import AuthorizationCode, Consent
from app.features.authorization.requests import AuthorizationRequest
from app.features.oauth.clients.registered import RegisteredClient
from app.features.oauth.clients.service import ClientService
from app.features.sessions.devices import Client
from app.features.sessions.service import SessionService


class ConsentEvent(SecurityEvent):
    """Security events of consents and authorization codes."""

    CODE_REUSED = "code_reused"
    CONSENT_DENIED = "consent_denied", ACTOR
    CONSENT_GIVEN = "consent_given", ACTOR
    CONSENT_REVOKED = "consent_revoked", ACTOR


CODE_LIFETIME = timedelta(seconds=60)

# From a new sign-in back to the page, and from the page to a decision.
_WAY_BACK = timedelta(minutes=1)
_TIME_TO_DECIDE = timedelta(minutes=5)


class AuthorizationService:
    """Turns authorization requests into codes; each decision is the URL to send the browser to."""

    def __init__(self, services: Services) -> None:
        self._database, self._accounts = services[Database], services[AccountService]
        self._sessions, self._clients = services[SessionService], services[ClientService]
        self._mail = services[AccountMail]

    def needs_sign_in(self, request: AuthorizationRequest, authenticated_at: datetime) -> bool:
        """Return whether the client wants a later sign-in than that (RFC 9470); one of the last minute will do.

        For `prompt=login` none will: the sign-in page leads back to the same request without it.
        """
        if "login" in request.prompt:
            return True
        if request.max_age is None:
            return False
        return utc_now() - authenticated_at > max(timedelta(seconds=request.max_age), _WAY_BACK)

    def consent_needs_sign_in(self, principal: Principal, request: AuthorizationRequest) -> bool:
        """Return whether the sign-in is too old to allow this: more than reading needs a recent one (ASVS 7.5.3)."""
        reads_alone = all(name.endswith(":read") for name in request.granted(principal))
        return not reads_alone and utc_now() - principal.authenticated_at > timedelta(minutes=STEP_UP_MINUTES)

    async def needs_consent(self, by: Principal, request: AuthorizationRequest, db: AsyncSession | None = None) -> bool:
        """Return whether to ask the user: not for the service itself, nor for what they have allowed.

        A public client that anybody could pretend to be, by a loopback address or a private scheme, is asked about
        every time (RFC 8252 section 8.6).
        """
        client = request.client
        if "consent" in request.prompt:
            return True
        if client.own:
            return False
        if not client.confidential and not request.redirect_uri.startswith("https://"):
            return True
        if client.first_party:
            return False
        mine = (Consent.user_id == by.user_id, Consent.client_id == request.client.id)
        async with nullcontext(db) if db else self._database.read() as reading:
            allowed = await reading.scalar(select(Consent.scope).where(*mine))
        return allowed is None or not request.granted(by) <= frozenset(allowed.split())

    async def approve(self, principal: Principal, request: AuthorizationRequest, origin: Client, *, asked: bool) -> str:
        """Give the client a code; `asked` is whether the user has just been asked.

        Raises `RefusedRequest` if nothing of the scope is allowed, for an old sign-in, or if the user was not asked and
        has taken the consent back meanwhile.
        """
        if self.needs_sign_in(request, principal.authenticated_at + _TIME_TO_DECIDE):
            request.refuse("login_required", "The user signed in too long ago.")
        scope = self.require_grantable(principal, request)
        code, now = new_token("ac_"), utc_now()
        row = {
            "code_hash": digest(code),
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
            if not held or not await self._sessions.lock_alive(db, principal.session_id):
                return request.answer(error="access_denied")
            if not asked and await self.needs_consent(principal, request, db):
                request.refuse("consent_required", "The user has taken the consent back.")
            await db.execute(insert(AuthorizationCode), row)
            if not request.client.first_party:
                await self._remember(db, principal.user_id, request.client, scope, origin)
        return request.answer(code=code)

    def require_grantable(self, principal: Principal, request: AuthorizationRequest) -> frozenset[str]:
        """Return what the client would get; raises `RefusedRequest` if that is nothing."""
        scope = request.granted(principal)
        if not scope:
            request.refuse("invalid_scope", "The user may do nothing of the scope.")
        return scope

    async def decline(self, principal: Principal, request: AuthorizationRequest) -> str:
        """Give the client nothing, as the user says."""
        scope = " ".join(sorted(request.scope))
        _emit_event(ConsentEvent.CONSENT_DENIED, principal.user_id, request.client.id, scope=scope)
        return request.answer(error="access_denied")

    async def consents(self, user_id: UUID) -> Sequence[Consent]:
        """Return the consents of the user, newest first."""
        mine = select(Consent).where(Consent.user_id == user_id).order_by(Consent.created_at.desc(), Consent.id)
        async with self._database.read() as db:
            return (await db.scalars(mine)).all()

    async def revoke_consent(self, actor: Principal, consent_id: UUID) -> None:
        """Take back a consent: the client's sessions and codes of the user end. Raises `NotFound`."""
        user_id = actor.user_id
        mine = (Consent.id == consent_id, Consent.user_id == user_id)
        async with self._database.transaction() as db:
            # It locks the account, so that no code of the user is being exchanged meanwhile.
            await self._sessions.require_alive(db, actor)
            client_id = await db.scalar(delete(Consent).where(*mine).returning(Consent.client_id))
            client = client_id and await self._clients.find(client_id)
            if client:
                await self._sessions.end(db, "consent revoked", client_id=client.client_id, user_id=user_id)
                theirs = (AuthorizationCode.client_id == client_id, AuthorizationCode.user_id == user_id)
                await db.execute(delete(AuthorizationCode).where(*theirs))
                _emit_event(ConsentEvent.CONSENT_REVOKED, user_id, client.id)
        if not client:
            raise NotFound("There is no such consent.")

    async def end_consents(self, db: AsyncSession, user_id: UUID) -> None:
        """Take back the consents of a user whose sessions and codes end, too; the account is locked."""
        mine = delete(Consent).where(Consent.user_id == user_id).returning(Consent.client_id)
        for client_id in await db.scalars(mine):
            _emit_event(ConsentEvent.CONSENT_REVOKED, user_id, client_id)

    async def end_codes(self, db: AsyncSession, user_id: UUID) -> None:
        """End the unused codes of a user. Used ones stay, so that a second use is noticed."""
        unused = (AuthorizationCode.user_id == user_id, AuthorizationCode.used_at.is_(None))
        await db.execute(delete(AuthorizationCode).where(*unused))

    async def _remember(
        self, db: AsyncSession, user_id: UUID, client: RegisteredClient, added: frozenset[str], origin: Client
    ) -> None:
        """Add to the consent of the user, and mail them; the caller has locked their account."""
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
        _emit_event(ConsentEvent.CONSENT_GIVEN, user_id, client.id, scope=scope)


def _emit_event(event: SecurityEvent, user_id: UUID, client_id: UUID, **fields: object) -> None:
    emit_event(event, outcome="success", user_id=user_id, target_type="client", target_id=client_id, **fields)
