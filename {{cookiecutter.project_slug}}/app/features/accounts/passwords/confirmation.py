"""Ask for the current password again, before what a stolen token must not do (ASVS 6.2.3, 7.5.1)."""

from uuid import UUID

from limits import parse as parse_limit
from pydantic import SecretStr

from app.access.policies import STEP_UP_MINUTES, OwnSession, Principal
from app.core.database.database import Database
from app.core.errors import Forbidden, Unauthenticated, Unprocessable
from app.core.events import SecurityEvent, emit_event
from app.core.limits import Limiter
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.accounts.events import AccountEvent
from app.features.accounts.models import User
from app.features.accounts.passwords.hasher import PasswordHasher


class PasswordConfirmation:
    """Checks the current password within one limit for each session: a stolen one uses up no attempts of others."""

    def __init__(self, services: Services) -> None:
        self._database, self._hasher, self._limiter = services[Database], services[PasswordHasher], services[Limiter]
        self._limit = parse_limit(services[Settings].rate_limit_signin)

    async def admit(self, *key: str, by: str, **who: UUID) -> None:
        """Count an attempt with a password; raises `TooManyRequests`."""
        verdict = await self._limiter.hit(self._limit, "password", *key)
        verdict.require("Too many attempts with a wrong password.", AccountEvent.SIGNIN_LIMITED, by=by, **who)

    async def require(self, principal: Principal, password: SecretStr | None, purpose: SecurityEvent) -> User:
        """Return the account if the password is right; raises `Forbidden`, and emits `purpose` as a failure.

        A recent sign-in, with whatever is used in its place, stands in for the password of an account that has none.

        Before that check, raises `TooManyRequests`, and `Forbidden` for OAuth clients: none can find the password out.
        A request without one is no attempt.
        """
        who = {"user_id": principal.user_id, "session_id": principal.session_id}
        if principal.client_id is not None:
            emit_event(purpose, outcome="denied", **who)
            raise Forbidden("This needs a sign-in with the service; an application that acts for you is refused.")
        async with self._database.read() as db:
            user = await db.get(User, principal.user_id)
        if user is None:
            raise Unauthenticated("The session has ended.", challenge='Bearer error="invalid_token"')
        if password is None and user.password_hash is not None:
            missing = {"location": ["body", "current_password"], "reason": "Please fill this in."}
            raise Unprocessable("The current password is missing.", errors=[missing])
        if password is None:
            OwnSession(STEP_UP_MINUTES).enforce(principal)
            return user
        key = ("confirmation", str(principal.session_id))
        await self.admit(*key, by="session", **who)
        if not (await self._hasher.verify(password, user.password_hash)).valid:
            emit_event(purpose, outcome="failure", **who)
            raise Forbidden("The current password is wrong.")
        await self._limiter.refund(self._limit, "password", *key)
        return user
