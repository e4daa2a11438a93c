"""What people do to their own account with their password: change the password, delete the account."""

from pydantic import SecretStr
from sqlalchemy import delete

from app.access.principal import Principal
from app.core.database.database import Database
from app.core.events.event import SecurityEvent
from app.core.events.flow import emit_event
from app.features.accounts.authority import Authority, keep_one
from app.features.accounts.events import AccountEnd, AccountEvent
from app.features.accounts.locking import lock_confirmed
from app.features.accounts.mailed.mailing import Mailing
from app.features.accounts.mailed.mails import MailKind
from app.features.accounts.models import User
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.accounts.passwords.policy import PasswordPolicy
from app.features.sessions.home_networks import forget_other_homes
from app.features.sessions.service import SessionService


class OwnAccountService:
    """Acts on the account of a principal who knows its password; raises what `PasswordConfirmation` raises."""

    def __init__(  # noqa: PLR0913, PLR0917  # one for each thing that a change touches
        self,
        database: Database,
        sessions: SessionService,
        authority: Authority,
        hasher: PasswordHasher,
        policy: PasswordPolicy,
        confirmation: PasswordConfirmation,
        mailing: Mailing,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._authority = authority
        self._hasher = hasher
        self._policy = policy
        self._confirmation = confirmation
        self._tokens, self._mail, _ = mailing

    async def change_password(self, principal: Principal, current: SecretStr, new: SecretStr, *, ip: str) -> None:
        """Change the password, end every other session and every mailed token (ASVS 6.2.3, 7.4.3).

        Every home network is forgotten but the one of the address.
        """
        confirmed = await self._confirmation.require(principal, current, AccountEvent.PASSWORD_CHANGED)
        accepted = self._policy.check(new, email=confirmed.email, display_name=confirmed.display_name)
        new_hash = await self._hasher.hash(accepted)
        async with self._database.transaction() as db:
            user = await lock_confirmed(db, confirmed)
            await self._authority.require_living_session(db, principal)
            user.password_hash = new_hash
            await self._tokens.revoke_all(db, user.id)
            await self._sessions.end_all(db, user.id, AccountEnd.PASSWORD_CHANGED, keep=principal.session_id)
            await (await db.connection()).run_sync(forget_other_homes, user.id, ip)
            await self._mail.notify(db, MailKind.PASSWORD_CHANGED, user)
            _emit_event(AccountEvent.PASSWORD_CHANGED, principal)

    async def delete(self, principal: Principal, password: SecretStr) -> None:
        """Delete the account with all that belongs to it; raises `Conflict` for the last administrator."""
        confirmed = await self._confirmation.require(principal, password, AccountEvent.ACCOUNT_DELETED)
        async with self._database.transaction() as db:
            administrators = await self._authority.lock_actor(db, principal)
            user = await lock_confirmed(db, confirmed)
            keep_one(administrators, user)
            await self._mail.notify(db, MailKind.ACCOUNT_DELETED, user)
            await db.execute(delete(User).where(User.id == user.id))
            _emit_event(AccountEvent.ACCOUNT_DELETED, principal)


def _emit_event(event: SecurityEvent, principal: Principal) -> None:
    emit_event(event, outcome="success", user_id=principal.user_id, session_id=principal.session_id)
