"""Signing in with a password, within the limits of `limits.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr
from sqlalchemy import Connection

from app.core.database.database import UNAVAILABLE_ERRORS, Database
from app.core.email_address import parse_email_address
from app.core.errors import Unavailable
from app.core.events import emit_event
from app.features.accounts.mailed.alerts import Alert
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.service import AccountService, Credentials
from app.features.sessions.client import Client
from app.features.sessions.devices import is_new_device, remember_home
from app.features.sessions.service import NewSession, SessionOptions, SessionService
from app.features.signin.errors import WrongCredentialsError
from app.features.signin.events import SignInEvent
from app.features.signin.limits import SignInLimits

_BY_PASSWORD = "pwd"  # noqa: S105  # RFC 8176's name of the method
_ASCII_WHITESPACE = "\t\n\f\r "

IssueCredential = Callable[[Connection, NewSession], str]
"""Issues what opens a session that has just been started, such as a cookie, in the session's transaction."""


@dataclass(eq=False)
class PasswordSignIn:
    """Starts sessions of users who know their password."""

    _database: Database
    _accounts: AccountService
    _sessions: SessionService
    _limits: SignInLimits
    _mail: AccountMail

    async def open_session(
        self, email: str, password: SecretStr, client: Client, issue: IssueCredential
    ) -> tuple[NewSession, str]:
        """Start a session for a user who knows the password, and return it with what `issue` made.

        Raises `WrongCredentialsError` (unknown, wrong, disabled, unverified alike), `Unavailable`, `TooManyRequests`.
        """
        # Browsers strip the value of a field of the type `email` (HTML section 4.10.5.1.5).
        email = email.strip(_ASCII_WHITESPACE)
        try:
            mailbox = parse_email_address(email).mailbox
        except ValueError:
            mailbox = email.casefold()
        attempt = await self._limits.count(mailbox, client.ip)
        try:
            credentials = await self._accounts.credentials(mailbox, client.ip)
            admissible = credentials and credentials.active and (attempt.over is None or credentials.at_home)
            # If the sign-in cannot succeed, the check takes as long, and tells nothing.
            verification = await self._accounts.verify(password, credentials if admissible else None)
        except (Unavailable, *UNAVAILABLE_ERRORS):
            await attempt.give_back()
            raise
        opened = None
        if credentials and verification.valid:
            opening = partial(self._open_session, credentials, verification.new_hash, client, issue)
            opened = await self._database.run_in_transaction(opening)
        if opened is None:
            attempt.refuse_over()
            user_id = credentials and credentials.user_id
            emit_event(SignInEvent.SIGNIN_FAILED, outcome="failure", user_id=user_id)
            raise WrongCredentialsError
        await attempt.give_back()
        session, credential, alerted = opened
        if alerted:
            self._mail.deliver()
        return session, credential

    def _open_session(
        self,
        credentials: Credentials,
        new_hash: str | None,
        client: Client,
        issue: IssueCredential,
        connection: Connection,
    ) -> tuple[NewSession, str, bool] | None:
        """Return what `open_session` does, and whether a mail waits; None if the account changed meanwhile."""
        roles = self._accounts.admit(connection, credentials, new_hash)
        if roles is None:
            return None
        user_id = credentials.user_id
        alerted = is_new_device(connection, user_id, client) and self._mail.put_alert(
            connection, Alert.NEW_DEVICE, user_id, client, {}
        )
        options = SessionOptions(" ".join(sorted(self._accounts.permissions_of(roles))), _BY_PASSWORD)
        session = self._sessions.start(connection, user_id, client, options)
        remember_home(connection, user_id, client.ip)
        credential = issue(connection, session)
        event = {"user_id": user_id, "session_id": session.id, "method": _BY_PASSWORD}
        emit_event(SignInEvent.SIGNIN_SUCCEEDED, outcome="success", **event)
        return session, credential, alerted
