"""Signing in with a password and, if the account has one, a second factor; the session is opened once, at the end.

A sign-in that lacks a factor has a challenge, which opens nothing but the next step: 256 random bits, stored hashed,
for five minutes, one account and the channel in which it began (ASVS 2.3.1). `limits.py` has the limits.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection, Row, Select, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.policies import MFA, Principal
from app.access.roles import Role
from app.core.clock import utc_now
from app.core.crypto import digest, new_token
from app.core.database.database import UNAVAILABLE_ERRORS, Database, table_of
from app.core.email_address import parse_email_address
from app.core.errors import Conflict, Unauthenticated, Unavailable
from app.core.events import emit_event
from app.core.schemas import ResponseBody
from app.core.services import Services
from app.features.accounts.events import Alert
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.own_account import Confirmed
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.accounts.service import AccountService
from app.features.factors.schemas import FactorAnswer, OfferedCode, OfferedPasskey
from app.features.factors.service import OF_USER, FactorService
from app.features.sessions.devices import Client, is_new_device, remember_home, session_with_factor
from app.features.sessions.service import NewSession, SessionOptions, SessionService
from app.features.signin.events import SignInEvent
from app.features.signin.limits import SignInLimits
from app.features.signin.models import UnfinishedSignIn

API = "api"  # the channel of the own clients
GRANT = "grant"  # the channel of OAuth's password grant, which has no second step

WRONG_CREDENTIALS = "The e-mail address or the password is wrong."
_USER_VERIFIED = "user"
_METHOD = "pwd"  # a password, as RFC 8176 names it
_ASCII_WHITESPACE = "\t\n\f\r "
_LIFETIME = timedelta(minutes=5)
_ENDED = "The sign-in has ended. Begin again."
_WRONG = "The answer is wrong, or was used before."

_Factors = Sequence[Row[Any]] | None
_unfinished = table_of(UnfinishedSignIn)


class Channel(NamedTuple):
    """How and from where a user signs in, and what issues a credential, such as a cookie, as a session is started."""

    name: str
    client: Client
    issue: Callable[[Connection, NewSession], str]
    since: datetime | None = None  # when the user proved who they are, if that was before


class Challenge(ResponseBody):
    """A sign-in that lacks a factor: one of `factors` completes it, a passkey by its `options`."""

    status: Literal["factor_required"] = "factor_required"
    challenge: str
    expires_in: int = int(_LIFETIME.total_seconds())
    factors: list[OfferedCode | OfferedPasskey]


class Opened(NamedTuple):
    """A session that was opened, its credential, and whether a mail waits to be delivered."""

    session: NewSession
    credential: str
    alerted: bool


class PasswordSignIn:
    """Starts sessions of users who know their password and have the factor that is asked for."""

    def __init__(self, services: Services) -> None:
        self._database, self._accounts = services[Database], services[AccountService]
        self._sessions, self._factors = services[SessionService], services[FactorService]
        self._limits, self._mail, self._hasher = services[SignInLimits], services[AccountMail], services[PasswordHasher]
        self.completed: Callable[[Connection, str, UUID], None] = lambda *_: None
        """Takes the challenge of a sign-in, and the session that it opens."""

    async def open_session(self, email: str, password: SecretStr, channel: Channel) -> Opened | Challenge:
        """Start a session for a user who knows the password, or ask for a second factor.

        Raises `Unauthenticated` for unknown, wrong, disabled and unverified alike: the reason is deliberately not
        reported (ASVS 6.3.8). Raises `Unavailable`, `TooManyRequests`.
        """
        # Browsers strip the value of a field of the type `email` (HTML section 4.10.5.1.5).
        email = email.strip(_ASCII_WHITESPACE)
        try:
            mailbox = parse_email_address(email).mailbox
        except ValueError:
            mailbox = email.casefold()
        attempt = await self._limits.count(mailbox, channel.client.ip)
        try:
            credentials = await self._accounts.credentials(mailbox, channel.client.ip)
            admissible = credentials and credentials.active and (attempt.over is None or credentials.at_home)
            # If the sign-in cannot succeed, the check takes as long, and tells nothing.
            stored = credentials.password_hash if credentials and admissible else None
            verification = await self._hasher.verify(password, stored)
        except (Unavailable, *UNAVAILABLE_ERRORS):
            await attempt.give_back()
            raise
        result = None
        if credentials and verification.valid:
            opening = partial(self._admit, credentials, verification.new_hash, channel)
            result = await self._database.run_in_transaction(opening)
        if result is None:
            attempt.refuse_over()
            emit_event(SignInEvent.SIGNIN_FAILED, outcome="failure", user_id=credentials and credentials.user_id)
            raise Unauthenticated(WRONG_CREDENTIALS)
        await attempt.give_back()
        if isinstance(result, Opened) and result.alerted:
            self._mail.deliver()
        return result

    async def offered(self, challenge: str, channel: Channel) -> list[OfferedCode | OfferedPasskey] | None:
        """Return the factors that answer a challenge; None if it is not alive."""
        found = await self._database.fetch_all(_living(challenge, channel), {})
        rows = await self._database.fetch_all(OF_USER, {"of_user": found[0].user_id}) if found else ()
        return self._factors.offered(rows, challenge) if found else None

    async def ask(self, channel: Channel, confirmed: tuple[Principal, Confirmed] | None = None) -> Challenge:
        """Ask an actor, whose password is confirmed, for a factor, or anybody for a passkey; raises as `answer`."""
        actor, lock = confirmed or (None, None)
        user_id, factors, method = (actor.user_id, (), _METHOD) if actor else (None, None, _USER_VERIFIED)
        async with self._database.transaction() as db:
            connection = await db.connection()
            if actor and lock:
                await lock(db)
                await self._sessions.require_alive(db, actor)
                if not await connection.run_sync(self._factors.of_user, actor.user_id):
                    raise Conflict("Your second factor is not one of this account: sign in once more as you did.")
            return await connection.run_sync(self._challenge, user_id, factors, channel, method)

    async def answer(self, challenge: str, answer: FactorAnswer, channel: Channel, only: UUID | None = None) -> Opened:
        """Start the session of a challenge if the answer is right, of the user `only` if one is given.

        Raises `Unauthenticated` or `TooManyRequests`.
        """
        found = await self._database.fetch_all(_living(challenge, channel), {})
        if not found:
            raise Unauthenticated(_ENDED)
        asked = found[0]
        known = session_with_factor(asked.user_id, channel.client) if asked.user_id else None
        is_known = known is not None and bool(await self._database.fetch_all(known, {}))
        attempt = await self._limits.count_answer(asked.user_id, answer.kind, channel.client, is_known=is_known)

        def advance(connection: Connection) -> Opened | Unauthenticated:
            user_id = asked.user_id or self._factors.owner(connection, answer)
            roles = self._accounts.lock_active(connection, user_id) if only in {None, user_id} else None
            if user_id is None or roles is None or not connection.execute(_living(challenge, channel)).all():
                if asked.user_id is None:
                    emit_event(SignInEvent.SIGNIN_FAILED, outcome="failure", user_id=user_id)
                return Unauthenticated(_ENDED if asked.user_id else _WRONG)
            method = self._factors.use(connection, user_id, answer, challenge, channel.client)
            if method is None:
                return Unauthenticated(_WRONG)
            used = delete(_unfinished).where(_unfinished.c.challenge_hash == digest(challenge))
            if not connection.execute(used).rowcount:  # with a passkey of somebody else, at the same time
                return Unauthenticated(_ENDED)
            opened = self._open(connection, user_id, roles, (asked.method, method, MFA), channel)
            self.completed(connection, challenge, opened.session.id)
            return opened

        result = await self._database.run_in_transaction(advance)
        self._mail.deliver()
        if isinstance(result, Unauthenticated):
            raise result
        await attempt.give_back()
        return result

    def _admit(
        self, credentials: Row[Any], new_hash: str | None, channel: Channel, connection: Connection
    ) -> Opened | Challenge | None:
        """Open the session, or ask for the factor that is due; None if the account changed meanwhile."""
        roles = self._accounts.admit(connection, credentials, new_hash)
        return None if roles is None else self.proceed(connection, credentials.user_id, roles, _METHOD, channel)

    def proceed(
        self, connection: Connection, user_id: UUID, roles: frozenset[Role], method: str, channel: Channel
    ) -> Opened | Challenge:
        """Go on with a locked account whose user has passed the first method: the end of every way to sign in."""
        factors = () if MFA in method.split() else self._factors.of_user(connection, user_id)
        if factors or (channel.name == GRANT and self._accounts.needs_factor(roles, (method,))):
            emit_event(SignInEvent.SIGNIN_CHALLENGED, outcome="success", user_id=user_id, method=method)
            return self._challenge(connection, user_id, factors, channel, method)
        return self._open(connection, user_id, roles, tuple(method.split()), channel)

    def _challenge(
        self, connection: Connection, user_id: UUID | None, factors: _Factors, channel: Channel, method: str
    ) -> Challenge:
        challenge, now = new_token("sc_"), utc_now()
        connection.execute(delete(_unfinished).where(_unfinished.c.user_id == user_id, _unfinished.c.expires_at < now))
        row = {"challenge_hash": digest(challenge), "user_id": user_id, "channel": channel.name, "method": method}
        connection.execute(insert(_unfinished), {**row, "expires_at": now + _LIFETIME})
        return Challenge(challenge=challenge, factors=self._factors.offered(factors, challenge))

    def _open(
        self, connection: Connection, user_id: UUID, roles: frozenset[Role], methods: tuple[str, ...], channel: Channel
    ) -> Opened:
        client, amr = channel.client, " ".join(methods)
        alerted = is_new_device(connection, user_id, client) and self._mail.put_alert(
            connection, Alert.NEW_DEVICE, user_id, client, {}
        )
        scope = " ".join(sorted(self._accounts.permitted(roles, methods)))
        options = SessionOptions(scope, amr, authenticated_at=channel.since)
        session = self._sessions.start(connection, user_id, client, options)
        remember_home(connection, user_id, client.ip)
        credential = channel.issue(connection, session)
        emit_event(SignInEvent.SIGNIN_SUCCEEDED, outcome="success", user_id=user_id, session_id=session.id, method=amr)
        return Opened(session, credential, alerted)


async def end_unfinished(db: AsyncSession, user_id: UUID) -> None:
    """End the unfinished sign-ins of an account whose password, roles or factors changed."""
    await db.execute(delete(_unfinished).where(_unfinished.c.user_id == user_id))


def _living(challenge: str, channel: Channel) -> Select[Any]:
    """Select whose a living challenge of the channel is, and by what method it was begun."""
    of_channel = (_unfinished.c.challenge_hash == digest(challenge), _unfinished.c.channel == channel.name)
    return select(_unfinished.c.user_id, _unfinished.c.method).where(*of_channel, _unfinished.c.expires_at > utc_now())
