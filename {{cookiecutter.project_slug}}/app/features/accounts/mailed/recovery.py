"""A forgotten password: a token by mail, and a new password for the token (ASVS 6.4.3).

Answer and time are the same for every address. The token proves the mailbox: a reset confirms the account, and the
network that it came from becomes its only home, which `unlock` lets try whatever the limits (`signin/limits.py`).
"""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.email_address import parse_email_address
from app.core.events import emit_event
from app.features.accounts.events import AccountEnd, AccountEvent
from app.features.accounts.locking import lock_mailbox, taken_back
from app.features.accounts.mailed.limits import RECOVERY
from app.features.accounts.mailed.mails import Mailing, MailKind
from app.features.accounts.mailed.tokens import TokenKind
from app.features.accounts.models import User
from app.features.accounts.passwords.policy import Passwords
from app.features.sessions.client import Client
from app.features.sessions.devices import forget_other_homes, remember_home

_KINDS = (TokenKind.RESET, TokenKind.INVITATION)


class RecoveryService:
    """Mails tokens for new passwords, and takes them."""

    def __init__(self, database: Database, passwords: Passwords, mailing: Mailing) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens, self._mail, self._limits = mailing
        self.unlock: Callable[[str, str], Awaitable[None]] | None = None
        """Lets who resets a password sign in with the mailbox from the address, whatever limit it is over."""
        self.keep_or_end_consents: Callable[[AsyncSession, UUID, bool], Awaitable[frozenset[str]]] | None = None
        """Returns the clients that a user has allowed, if they are to be kept; otherwise takes the consents back."""

    async def forgot(self, email: str, *, ip: str) -> None:
        """Mail a token to the enabled account of the address; raises `TooManyRequests`, by the client alone."""
        await self._limits.admit_client(ip)
        address = parse_email_address(email)
        mailable = (await self._limits.admit_mailbox(RECOVERY, address.mailbox)).allowed
        async with self._database.transaction() as db:
            known = await lock_mailbox(db, address.mailbox)
            found = known is not None and known.disabled_at is None
            user = known or User(id=uuid4(), email=address.address, mailbox=address.mailbox)
            async with taken_back(db, unless=found and mailable):
                token = await self._tokens.issue(db, user, TokenKind.RESET)
                await self._mail.notify(db, MailKind.RESET, user, token=token)
            emit_event(
                AccountEvent.PASSWORD_RESET_REQUESTED,
                outcome="success" if found else "failure",
                user_id=known and known.id,
            )

    async def reset(
        self, token: SecretStr, password: SecretStr, client: Client, *, keep_applications: bool = False
    ) -> None:
        """Set a password and end every session, but those of OAuth clients if they are to be kept.

        Raises `BadRequest` for a token that does not hold; a password that is refused leaves the token as it was.
        """
        async with self._database.read() as db:
            owner = await self._tokens.owner(db, token, *_KINDS)
        new_hash = await self._passwords.hash(password, email=owner.email, display_name=owner.display_name)
        if self.unlock is not None:
            await self.unlock(owner.mailbox, client.ip)
        async with self._database.transaction() as db:
            user, _ = await self._tokens.use(db, token, *_KINDS)
            if user.verified_at is None:
                # A stranger may have registered the mailbox: nothing that they chose stays.
                user.verified_at, user.display_name = utc_now(), None
            user.password_hash = new_hash
            consents = self.keep_or_end_consents
            kept = await consents(db, user.id, keep_applications) if consents else frozenset()
            await self._tokens.end_access(db, user.id, AccountEnd.PASSWORD_RESET, keep_clients=kept)
            connection = await db.connection()
            await connection.run_sync(forget_other_homes, user.id, client.ip)
            await connection.run_sync(remember_home, user.id, client.ip)
            await self._mail.notify(db, MailKind.PASSWORD_CHANGED, user)
            emit_event(AccountEvent.PASSWORD_RESET, outcome="success", user_id=user.id)
