"""The own account: change the profile, the password or the e-mail address, delete the account."""

from collections.abc import Awaitable, Callable

from pydantic import SecretStr
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.policies import Principal
from app.core.database.database import Database
from app.core.email_address import ADDRESS_TAKEN, parse_email_address
from app.core.errors import Conflict
from app.core.events import SecurityEvent, emit_event
from app.core.services import Services
from app.features.accounts.administration import Authority, keep_one
from app.features.accounts.events import AccountEvent
from app.features.accounts.mailed.mails import AccountMail, MailKind
from app.features.accounts.mailed.tokens import AccountTokens, TokenKind, taken_back
from app.features.accounts.models import User
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.policy import PasswordPolicy
from app.features.accounts.schemas import OwnProfileUpdate
from app.features.accounts.service import replace_unconfirmed
from app.features.sessions.devices import forget_other_homes
from app.features.sessions.service import SetCookie


class OwnAccountService:
    """Changes the account of a principal. All but the profile asks for the password, as `PasswordConfirmation` does."""

    def __init__(self, services: Services) -> None:
        self._database, self._authority = services[Database], services[Authority]
        self._passwords, self._confirmation = services[PasswordPolicy], services[PasswordConfirmation]
        self._tokens, self._mail = services[AccountTokens], services[AccountMail]

    async def change_profile(self, actor: Principal, change: OwnProfileUpdate) -> User:
        """Set the name of the actor, and which alerts they get by mail; what is left out of `change` stays as it is."""
        user_id = actor.user_id
        async with self._database.transaction() as db:
            await self._authority.sessions.require_alive(db, actor)
            user = await db.get_one(User, user_id)
            if "display_name" in change.model_fields_set:
                user.display_name = change.display_name
                emit_event(AccountEvent.ACCOUNT_RENAMED, outcome="success", user_id=user_id, target_id=user_id)
            if "muted_alerts" in change.model_fields_set:
                muted = sorted(change.muted_alerts or [])
                user.muted = " ".join(muted)
                emit_event(AccountEvent.ALERTS_CHANGED, outcome="success", user_id=user_id, muted=muted)
        return user

    async def change_password(
        self, principal: Principal, current: SecretStr | None, new: SecretStr, *, ip: str
    ) -> SetCookie:
        """Change the password; end every other session and home network, and all mailed tokens (ASVS 6.2.3, 7.4.3)."""
        confirmed = await self._confirmation.require(principal, current, AccountEvent.PASSWORD_CHANGED)
        new_hash = await self._passwords.hash(new, email=confirmed.email, display_name=confirmed.display_name)
        async with self._database.transaction() as db:
            user = await lock_confirmed(db, confirmed)
            await self._authority.sessions.require_alive(db, principal)
            user.password_hash = new_hash
            await self._tokens.end_access(db, user.id, "password changed", keep=principal.session_id)
            await (await db.connection()).run_sync(forget_other_homes, user.id, ip)
            await self._mail.notify(db, MailKind.PASSWORD_CHANGED, user)
            _emit_event(AccountEvent.PASSWORD_CHANGED, principal)
            return await self._authority.sessions.renew_cookie(db, principal)

    async def request_email_change(
        self, principal: Principal, new_email: str, password: SecretStr | None, *, ip: str
    ) -> None:
        """Mail a token to the new address, and word to the old one, while the change can still be stopped.

        Only the owner of the new address learns that it has an account (ASVS 6.3.8): what is kept about whoever asks is
        the same. Raises `TooManyRequests`.
        """
        await self._mail.admit_client(ip)
        address = parse_email_address(new_email)
        confirmed = await self._confirmation.require(principal, password, AccountEvent.EMAIL_CHANGE_REQUESTED)
        mailable = (await self._mail.admit("email-change", str(principal.user_id), by="account")).allowed
        # Counted whether somebody holds the address or not, and heeded if somebody does.
        tellable = (await self._mail.admit("address held", address.mailbox)).allowed
        async with self._database.transaction() as db:
            user = await lock_confirmed(db, confirmed)
            await self._authority.sessions.require_alive(db, principal)
            # Only a confirmed account keeps its address from others.
            taken = (User.mailbox == address.mailbox, User.verified_at.is_not(None), User.id != user.id)
            holder = await db.scalar(select(User.email).where(*taken))
            async with taken_back(db, unless=mailable):
                token = await self._tokens.issue(db, user, TokenKind.EMAIL_CHANGE, address)
            async with taken_back(db, unless=mailable and (holder is None or tellable)):
                kind = MailKind.EMAIL_CHANGE if holder is None else MailKind.ACCOUNT_EXISTS
                await self._mail.send(db, kind, holder or address.address, None, token=token)
            async with taken_back(db, unless=mailable):
                await self._mail.notify(db, MailKind.EMAIL_CHANGE_REQUESTED, user)
            _emit_event(AccountEvent.EMAIL_CHANGE_REQUESTED, principal)

    async def confirm_email_change(self, token: SecretStr) -> None:
        """Give the account its new address; raises `BadRequest` for the token, `Conflict` if the address is taken."""
        try:
            async with self._database.transaction() as db:
                user, address = await self._tokens.use(db, token, TokenKind.EMAIL_CHANGE)
                await self._mail.notify(db, MailKind.EMAIL_CHANGED, user)
                await replace_unconfirmed(db, address.mailbox)
                user.email, user.mailbox = address.address, address.mailbox
                await self._tokens.revoke_all(db, user.id)
                emit_event(AccountEvent.EMAIL_CHANGED, outcome="success", user_id=user.id)
        except IntegrityError:
            raise Conflict(ADDRESS_TAKEN) from None

    async def delete(self, principal: Principal, password: SecretStr | None) -> None:
        """Delete the account with all that belongs to it; raises `Conflict` for the last administrator."""
        confirmed = await self._confirmation.require(principal, password, AccountEvent.ACCOUNT_DELETED)
        async with self._database.transaction() as db:
            administrators = await self._authority.lock_actor(db, principal)
            user = await lock_confirmed(db, confirmed)
            keep_one(administrators, user)
            await self._mail.notify(db, MailKind.ACCOUNT_DELETED, user)
            await db.execute(delete(User).where(User.id == user.id))
            _emit_event(AccountEvent.ACCOUNT_DELETED, principal)


Confirmed = Callable[[AsyncSession], Awaitable[object]]  # `lock_confirmed` for an account


async def lock_confirmed(db: AsyncSession, confirmed: User) -> User:
    """Lock and return an account; raises `Conflict` if its password changed or it was disabled since `confirmed`."""
    unchanged = (User.id == confirmed.id, User.password_hash == confirmed.password_hash)
    user = await db.scalar(select(User).where(*unchanged, User.disabled_at.is_(None)).with_for_update())
    if user is None:
        raise Conflict("The account was changed meanwhile.")
    return user


def _emit_event(event: SecurityEvent, principal: Principal) -> None:
    emit_event(event, outcome="success", user_id=principal.user_id, session_id=principal.session_id)
