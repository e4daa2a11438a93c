"""Registration: an account for the owner of a mailbox, who alone learns more than the one answer (ASVS 6.3.8).

A stranger could register an address first, or once more, and wait for its owner to confirm the stranger's password. So
a password does not hold if the account was registered again with another one, or if who confirms shows neither the
password nor that the browser is the same: a mail lets the owner choose one then.
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

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.email_address import EmailAddress, parse_email_address
from app.core.errors import Forbidden, Unavailable
from app.core.events import emit_event
from app.core.limits.limiter import subscriber
from app.features.accounts.events import AccountEvent
from app.features.accounts.locking import lock_mailbox, taken_back
from app.features.accounts.mailed.mails import Mailing, MailKind
from app.features.accounts.mailed.tokens import TokenKind
from app.features.accounts.models import User
from app.features.accounts.passwords.policy import Passwords

_TRIES = 3


class _Request(NamedTuple):
    """A registration."""

    address: EmailAddress
    display_name: str | None
    password_hash: str

    def account(self, mailbox: str) -> User:
        """Make the account. If there is one already, it is taken back, and `mailbox` is a random text."""
        return User(
            email=self.address.address,
            mailbox=mailbox,
            display_name=self.display_name,
            password_hash=self.password_hash,
            created_at=utc_now(),
            verified_at=None,
            disabled_at=None,
            roles=frozenset([Role.MEMBER]),
        )


class RegistrationService:
    """Registers and confirms accounts."""

    def __init__(self, database: Database, passwords: Passwords, mailing: Mailing) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens, self._mail, self._limits = mailing

    async def register(self, email: str, password: SecretStr, display_name: str | None, *, ip: str) -> str:
        """Make an unconfirmed account, or mail the owner of the one that exists; return the `proof` for `confirm`.

        Raises `TooManyRequests` for the client, `Unavailable`, and no error that depends on the address.
        """
        await self._limits.admit_client(ip)
        address = parse_email_address(email)
        new_hash = await self._passwords.hash(
            password, email=address.address, display_name=display_name, field="password"
        )
        request = _Request(address, display_name, new_hash)
        mailable = await self._is_mailable(address, ip)
        unconfirmed = select(User.password_hash).where(User.mailbox == address.mailbox, User.verified_at.is_(None))
        async with self._database.read() as db:
            pending = await db.scalar(unconfirmed)
        # The same work for every address: without a pending hash, a dummy is verified; and once, however many tries.
        same = (await self._passwords.hasher.verify(password, pending)).valid
        for _ in range(_TRIES):
            with suppress(IntegrityError):
                await self._enter(request, pending, same=same, mailable=mailable)
                return _proof(new_hash)
        raise Unavailable("The address is being registered by many at once.", retry_after=1)

    async def _enter(self, request: _Request, pending: str | None, *, same: bool, mailable: bool) -> None:
        """Write the registration; the same statements run in every case, and some are taken back."""
        async with self._database.transaction() as db:
            known = await lock_mailbox(db, request.address.mailbox)
            # A password that was registered meanwhile was not compared, so it does not hold either.
            if known and known.verified_at is None and not (same and known.password_hash == pending):
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
        """Confirm an account; return whether its password was kept, which takes the password or its `proof`.

        Raises `BadRequest` for the token, `Forbidden` or `TooManyRequests` for the password: the token stays as it was.
        """
        async with self._database.read() as db:
            owner = await self._tokens.owner(db, token, TokenKind.VERIFY)
        pending = owner.password_hash
        kept = pending is not None and hmac.compare_digest((proof or "").encode(), _proof(pending).encode())
        if pending is not None and not kept and password is not None:
            await self._limits.admit_guess(owner.id)
            if not (await self._passwords.hasher.verify(password, pending)).valid:
                emit_event(AccountEvent.EMAIL_VERIFIED, outcome="failure", user_id=owner.id)
                raise Forbidden("This is not the password that was registered. Leave it empty to choose one.")
            kept = True
        await self.verify(token, keep_password=kept)
        return kept

    async def verify(self, token: SecretStr, *, keep_password: bool = True) -> None:
        """Confirm an account; if it keeps no password, mail a token to choose one. Raises `BadRequest` as `confirm`."""
        async with self._database.transaction() as db:
            user, _ = await self._tokens.use(db, token, TokenKind.VERIFY)
            user.verified_at = user.verified_at or utc_now()
            if not keep_password:
                user.password_hash = user.display_name = None
            if user.password_hash is None:
                reset = await self._tokens.issue(db, user, TokenKind.RESET)
                await self._mail.send(db, MailKind.CHOOSE_PASSWORD, user.email, token=reset)
            emit_event(AccountEvent.EMAIL_VERIFIED, outcome="success", user_id=user.id)

    async def _is_mailable(self, address: EmailAddress, ip: str) -> bool:
        """Count the request for mail; if the address has a tag, also the client's requests with any tag of it."""
        allowed = (await self._limits.admit_mailbox("registration", address.mailbox)).allowed
        if address.inbox != address.mailbox:
            # By client: a client cannot use up the limit of another one.
            tagged = await self._limits.admit_mailbox("registration of tags", f"{address.inbox} {subscriber(ip)}")
            allowed = allowed and tagged.allowed
        return allowed


def _proof(password_hash: str) -> str:
    """Return what only the browser that registered gets: the hash has a random salt, so it reveals no password."""
    return urlsafe_b64encode(hashlib.sha256(password_hash.encode()).digest()).decode().rstrip("=")
