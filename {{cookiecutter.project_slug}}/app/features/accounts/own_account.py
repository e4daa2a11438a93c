"""What people do to their own account with their password: change the password, delete the account."""

from pydantic import SecretStr
from sqlalchemy import delete

from app.access.principal import Principal
from app.core.database import Database
from app.core.security_events import SecurityEvent, security_event
from app.features.accounts.account_mail import AccountMail, MailKind
from app.features.accounts.authority import keep_one, lock_actor, require_living_session
from app.features.accounts.confirmation import PasswordConfirmation
from app.features.accounts.locking import lock_confirmed
from app.features.accounts.models import User
from app.features.accounts.password_policy import PasswordPolicy
from app.features.accounts.passwords import PasswordHasher
from app.features.accounts.tokens import AccountTokens
from app.features.sessions.home_networks import forget_other_homes
from app.features.sessions.service import EndReason, SessionService


class OwnAccountService:
    """Acts on the account of a principal who knows its password; raises what `PasswordConfirmation` raises."""

    def __init__(  # noqa: PLR0913, PLR0917  # one for each thing that a change touches
        self,
        database: Database,
        sessions: SessionService,
        hasher: PasswordHasher,
        policy: PasswordPolicy,
        confirmation: PasswordConfirmation,
        tokens: AccountTokens,
        mail: AccountMail,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._hasher = hasher
        self._policy = policy
        self._confirmation = confirmation
        self._tokens = tokens
        self._mail = mail

    async def change_password(self, principal: Principal, current: SecretStr, new: SecretStr, *, ip: str) -> None:
        """Change the password, end every other session and every mailed token (ASVS 6.2.3, 7.4.3).

        Every home network is forgotten but the one of the address.
        """
        confirmed = await self._confirmation.require(principal, current, SecurityEvent.PASSWORD_CHANGED)
        accepted = self._policy.check(new, email=confirmed.email, display_name=confirmed.display_name)
        new_hash = await self._hasher.hash(accepted)
        async with self._database.transaction() as unit:
            user = await lock_confirmed(unit, confirmed)
            await require_living_session(unit, self._sessions, principal)
            user.password_hash = new_hash
            await self._tokens.revoke_all(unit, user.id)
            await self._sessions.end_all(unit, user.id, EndReason.PASSWORD_CHANGED, keep=principal.session_id)
            await (await unit.connection()).run_sync(forget_other_homes, user.id, ip)
            await self._mail.tell(unit, MailKind.PASSWORD_CHANGED, user)
            _told(SecurityEvent.PASSWORD_CHANGED, principal)

    async def delete(self, principal: Principal, password: SecretStr) -> None:
        """Delete the account with all that belongs to it; raises `Conflict` for the last administrator."""
        confirmed = await self._confirmation.require(principal, password, SecurityEvent.ACCOUNT_DELETED)
        async with self._database.transaction() as unit:
            administrators = await lock_actor(unit, self._sessions, principal)
            user = await lock_confirmed(unit, confirmed)
            keep_one(administrators, user)
            await self._mail.tell(unit, MailKind.ACCOUNT_DELETED, user)
            await unit.execute(delete(User).where(User.id == user.id))
            _told(SecurityEvent.ACCOUNT_DELETED, principal)


def _told(event: SecurityEvent, principal: Principal) -> None:
    security_event(event, outcome="success", user_id=principal.user_id, session_id=principal.session_id)
