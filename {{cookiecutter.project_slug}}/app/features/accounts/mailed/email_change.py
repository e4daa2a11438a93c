"""Change of e-mail address: requested with the password, confirmed with a token that is mailed to the new address.

The old address gets two mails: at the request, while the change can still be stopped, and when it is done. Only the
owner of the new address learns that it has an account already (ASVS 6.3.8).
"""

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.access.principal import Principal
from app.core.database.database import Database
from app.core.errors import Conflict
from app.core.events.flow import emit_event
from app.features.accounts.email_address import parse_email_address
from app.features.accounts.events import AccountEvent
from app.features.accounts.locking import lock_confirmed, taken_back
from app.features.accounts.mailed.mails import Mailing, MailKind
from app.features.accounts.mailed.tokens import TokenKind
from app.features.accounts.models import User
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.service import replace_unconfirmed
from app.features.sessions.service import SessionService


class EmailChangeService:
    """Requests and makes changes of address."""

    def __init__(
        self, database: Database, sessions: SessionService, confirmation: PasswordConfirmation, mailing: Mailing
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._confirmation = confirmation
        self._tokens, self._mail, self._limits = mailing

    async def request(self, principal: Principal, new_email: str, password: SecretStr, *, ip: str) -> None:
        """Mail a token to the new address; raises `Forbidden` for a wrong password, `TooManyRequests`."""
        await self._limits.admit_client(ip)
        address = parse_email_address(new_email)
        confirmed = await self._confirmation.require(principal, password, AccountEvent.EMAIL_CHANGE_REQUESTED)
        mailable = await self._limits.admit_account("email-change", principal.user_id)
        async with self._database.transaction() as db:
            user = await lock_confirmed(db, confirmed)
            await self._sessions.require_alive(db, principal)
            # Only a confirmed account keeps its address from others.
            taken = (User.mailbox == address.mailbox, User.verified_at.is_not(None), User.id != user.id)
            holder = await db.scalar(select(User.email).where(*taken))
            async with taken_back(db, unless=holder is None and mailable):
                token = await self._tokens.issue(db, user, TokenKind.EMAIL_CHANGE, address)
            async with taken_back(db, unless=mailable):
                kind = MailKind.EMAIL_CHANGE if holder is None else MailKind.ACCOUNT_EXISTS
                await self._mail.send(db, kind, holder or address.address, token=token)
                await self._mail.notify(db, MailKind.EMAIL_CHANGE_REQUESTED, user)
            who = {"user_id": user.id, "session_id": principal.session_id}
            emit_event(AccountEvent.EMAIL_CHANGE_REQUESTED, outcome="success", **who)

    async def confirm(self, token: SecretStr) -> None:
        """Give the account its new address; raises `BadRequest` for a token that does not hold.

        Raises `Conflict` if the address went to another account meanwhile.
        """
        try:
            async with self._database.transaction() as db:
                user, address = await self._tokens.use(db, token, TokenKind.EMAIL_CHANGE)
                await self._mail.notify(db, MailKind.EMAIL_CHANGED, user)
                await replace_unconfirmed(db, address.mailbox)
                user.email, user.mailbox = address.address, address.mailbox
                await self._tokens.revoke_all(db, user.id)
                emit_event(AccountEvent.EMAIL_CHANGED, outcome="success", user_id=user.id)
        except IntegrityError:
            raise Conflict("There is an account with this e-mail address already.") from None
