"""The own account: change the password, delete the account."""

from pydantic import SecretStr
from sqlalchemy import delete

from app.access.principal import Principal
from app.core.database.database import Database
from app.core.events.event import SecurityEvent
from app.core.events.flow import emit_event
from app.features.accounts.authority import Authority, keep_one
from app.features.accounts.events import AccountEnd, AccountEvent
from app.features.accounts.locking import lock_confirmed
from app.features.accounts.mailed.mails import Mailing, MailKind
from app.features.accounts.models import User
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.policy import Passwords
from app.features.sessions.home_networks import forget_other_homes


class OwnAccountService:
    """Acts on the account of a principal who knows its password; raises what `PasswordConfirmation` raises."""

    def __init__(
        self,
        database: Database,
        authority: Authority,
        passwords: Passwords,
        confirmation: PasswordConfirmation,
        mailing: Mailing,
    ) -> None:
        self._database = database
        self._authority = authority
        self._passwords = passwords
        self._confirmation = confirmation
        self._tokens, self._mail, _ = mailing

    async def change_password(self, principal: Principal, current: SecretStr, new: SecretStr, *, ip: str) -> None:
        """Change the password; end every other session and every mailed token (ASVS 6.2.3, 7.4.3).

        Every home network but that of the address is forgotten.
        """
        confirmed = await self._confirmation.require(principal, current, AccountEvent.PASSWORD_CHANGED)
        new_hash = await self._passwords.hash(new, email=confirmed.email, display_name=confirmed.display_name)
        async with self._database.transaction() as db:
            user = await lock_confirmed(db, confirmed)
            await self._authority.sessions.require_alive(db, principal)
            user.password_hash = new_hash
            await self._tokens.end_access(db, user.id, AccountEnd.PASSWORD_CHANGED, keep=principal.session_id)
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
