"""Registration: an account for whoever shows that a mailbox is theirs.

The answer and its time are the same whether the address has an account or not (ASVS 6.3.8); the owner of the mailbox
is told the rest by mail. An account that was registered but not confirmed belongs to nobody yet. Where it is
registered again with another password, nobody knows which of them came from the owner of the mailbox, so neither
holds: confirming then leads to a mail with which to choose one. The same goes for whoever confirms and shows neither
the password nor that they are where it was registered. Otherwise a stranger could register somebody's address first, or
once more, and wait for them to confirm the stranger's password.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import NamedTuple

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.errors import Forbidden, Unavailable
from app.core.events.flow import emit_event
from app.core.limits.limiter import subscriber
from app.features.accounts.email_address import EmailAddress, parse_email_address
from app.features.accounts.events import AccountEvent
from app.features.accounts.locking import lock_mailbox, taken_back
from app.features.accounts.mailed.mailing import Mailing
from app.features.accounts.mailed.mails import MailKind
from app.features.accounts.mailed.tokens import TokenKind, token_refused
from app.features.accounts.models import User, UserRole
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.accounts.passwords.policy import PasswordPolicy

_TRIES = 3


class _ChangedMeanwhileError(Exception):
    """The account that waits for its confirmation is not the one that the password was compared with."""


class _Request(NamedTuple):
    """What somebody registers with."""

    address: EmailAddress
    display_name: str | None
    password_hash: str

    def account(self, mailbox: str) -> User:
        """The account that it asks for; where there is one already, to be taken back, the mailbox is nobody's."""
        return User(
            email=self.address.address,
            mailbox=mailbox,
            display_name=self.display_name,
            password_hash=self.password_hash,
            created_at=utc_now(),
            verified_at=None,
            disabled_at=None,
            role_rows=[UserRole(role=Role.MEMBER)],
        )


class RegistrationService:
    """Registers and confirms accounts."""

    def __init__(  # one for each thing that a registration touches
        self,
        database: Database,
        hasher: PasswordHasher,
        policy: PasswordPolicy,
        mailing: Mailing,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._policy = policy
        self._tokens, self._mail, self._limits = mailing

    async def register(self, email: str, password: SecretStr, display_name: str | None, *, ip: str) -> str:
        """Make an account that waits for its confirmation, or tell the owner of the one that there is.

        Returns what shows `confirm` that it was the same browser, 43 characters; it tells nothing.
        Raises `TooManyRequests` for the client, `Unavailable`, and nothing that depends on the address.
        """
        await self._limits.admit_client(ip)
        address = parse_email_address(email)
        accepted = self._policy.check(password, email=address.address, display_name=display_name, field="password")
        request = _Request(address, display_name, await self._hasher.hash(accepted))
        mailable = await self._is_mailable(address, ip)
        for _ in range(_TRIES):
            pending = await self._pending_hash(address.mailbox)
            # Verified against nobody's password where none waits: the same work for every address.
            same = (await self._hasher.verify(password, pending)).valid
            with suppress(IntegrityError, _ChangedMeanwhileError):
                await self._enter(request, pending, same=same, mailable=mailable)
                return _proof(request.password_hash)
        raise Unavailable("The address is being registered by many at once.", retry_after=1)

    async def _enter(self, request: _Request, pending: str | None, *, same: bool, mailable: bool) -> None:
        """Write what follows from a registration; the same statements run in every case, and some are taken back."""
        async with self._database.transaction() as db:
            known = await lock_mailbox(db, request.address.mailbox)
            if known is not None and known.verified_at is None:
                if known.password_hash != pending:
                    raise _ChangedMeanwhileError
                if not same:
                    known.password_hash = known.display_name = None
            new = request.account(request.address.mailbox if known is None else secrets.token_hex())
            async with taken_back(db, unless=known is None):
                db.add(new)
            user = known or new
            confirms = user.verified_at is None and user.disabled_at is None
            async with taken_back(db, unless=confirms and mailable):
                token = await self._tokens.issue(db, user, TokenKind.VERIFY)
            async with taken_back(db, unless=mailable):
                kind = MailKind.VERIFY if confirms else MailKind.ACCOUNT_EXISTS
                await self._mail.send(db, kind, user.email, token=token)
            if known is None:
                emit_event(AccountEvent.ACCOUNT_CREATED, outcome="success", user_id=user.id, roles=[Role.MEMBER])
            else:
                emit_event(AccountEvent.REGISTRATION_REPEATED, outcome="denied", user_id=user.id)

    async def confirm(self, token: SecretStr, password: SecretStr | None, proof: str | None = None) -> bool:
        """Confirm an account, and keep the password that was registered if the caller knows it, or has its `proof`.

        Returns whether it was kept: otherwise a mail lets the owner choose one. Raises `BadRequest` for a token that
        does not hold, and `Forbidden` for another password, which leaves the token as it was.
        """
        async with self._database.read() as db:
            owner = await self._tokens.owner(db, token, TokenKind.VERIFY)
        if owner is None:
            raise token_refused("verify")
        pending = owner.password_hash
        kept = (
            pending is not None and proof is not None and hmac.compare_digest(proof.encode(), _proof(pending).encode())
        )
        if pending is not None and not kept and password is not None:
            if not (await self._hasher.verify(password, pending)).valid:
                raise Forbidden("This is not the password that was registered. Leave it empty to choose one.")
            kept = True
        await self.verify(token, keep_password=kept)
        return kept

    async def verify(self, token: SecretStr, *, keep_password: bool = True) -> None:
        """Confirm an account, for a caller who has registered it; raises `BadRequest` for a token that is dead."""
        async with self._database.transaction() as db:
            used = await self._tokens.use(db, token, TokenKind.VERIFY)
            if used is not None:
                used.user.verified_at = used.user.verified_at or utc_now()
                if not keep_password:
                    used.user.password_hash = used.user.display_name = None
                if used.user.password_hash is None:
                    await self._let_choose(db, used.user)
                emit_event(AccountEvent.EMAIL_VERIFIED, outcome="success", user_id=used.user.id)
        if used is None:
            raise token_refused("verify")

    async def _let_choose(self, db: AsyncSession, user: User) -> None:
        """Send the owner of the mailbox a mail with which to choose a password: no other one holds."""
        token = await self._tokens.issue(db, user, TokenKind.RESET)
        await self._mail.send(db, MailKind.CHOOSE_PASSWORD, user.email, token=token)

    async def _is_mailable(self, address: EmailAddress, ip: str) -> bool:
        """Count the mail that is asked for; with a tag, also what the client asks for with any tag of it."""
        allowed = (await self._limits.admit_mailbox("registration", address.mailbox)).allowed
        if address.inbox != address.mailbox:
            # By client, so that nobody uses up what somebody else may ask for.
            tagged = await self._limits.admit_mailbox("registration of tags", f"{address.inbox} {subscriber(ip)}")
            allowed = allowed and tagged.allowed
        return allowed

    async def _pending_hash(self, mailbox: str) -> str | None:
        """The password that waits for the confirmation of the mailbox, if one does."""
        waiting = select(User.password_hash).where(User.mailbox == mailbox, User.verified_at.is_(None))
        async with self._database.read() as db:
            return await db.scalar(waiting)


def _proof(password_hash: str) -> str:
    """What only who registered with this hash was told: it has a random salt, and tells nothing about the password."""
    return urlsafe_b64encode(hashlib.sha256(password_hash.encode()).digest()).decode().rstrip("=")
