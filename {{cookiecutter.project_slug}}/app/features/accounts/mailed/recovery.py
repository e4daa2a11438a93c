"""An account for the owner of a mailbox: registration, and a token by mail for a forgotten password (ASVS 6.4.3).

Answer and time are the same for every address: its owner alone learns more, by mail (ASVS 6.3.8).
A stranger could register an address first, or once more, and wait for its owner to confirm the stranger's password. So
a password does not hold if the account was registered again with another one, or if who confirms on a page shows
neither the password nor that the browser is the same: a mail lets the owner choose one then.
A token for a new password proves the mailbox: a reset confirms the account, and the network that it came from becomes
its only home, which `unlock` lets try whatever the limits (`signin/limits.py`).
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.crypto import digest
from app.core.database.database import Database
from app.core.email_address import EmailAddress, parse_email_address
from app.core.errors import Forbidden, Unavailable
from app.core.events import Outcome, emit_event
from app.core.limits import subscriber
from app.core.services import Services
from app.features.accounts.events import AccountEvent
from app.features.accounts.mailed.mails import RECOVERY, AccountMail, MailKind
from app.features.accounts.mailed.tokens import AccountTokens, Revocation, TokenKind, lock_mailbox, taken_back
from app.features.accounts.models import User
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.policy import PasswordPolicy
from app.features.sessions.devices import Client, forget_other_homes, remember_home

_FOR_PASSWORDS = (TokenKind.RESET, TokenKind.INVITATION)


class MailboxService:
    """Registers and confirms accounts, mails tokens for new passwords, and takes them."""

    def __init__(self, services: Services) -> None:
        self._database, self._passwords = services[Database], services[PasswordPolicy]
        self._tokens, self._mail = services[AccountTokens], services[AccountMail]
        self._confirmation = services[PasswordConfirmation]
        self.unlock: Callable[[str, str], Awaitable[None]] | None = None
        """Lets who resets a password sign in with the mailbox from the address, whatever limit it is over."""
        self.reset_revocations: list[Revocation] = []
        """What a reset by mail ends besides, and a change of the password does not: whatever acts for the user."""

    async def register(self, email: str, password: SecretStr, display_name: str | None, *, ip: str) -> str:
        """Make an unconfirmed account, or mail the owner of the one that exists; return the `proof` for `confirm`.

        Raises `TooManyRequests` for the client, `Unavailable`, and no error that depends on the address.
        """
        await self._mail.admit_client(ip)
        address = parse_email_address(email)
        new_hash = await self._passwords.hash(password, address.address, display_name, field="password")
        account = {"email": address.address, "display_name": display_name, "password_hash": new_hash}
        mailable = await self._is_mailable(address, ip)
        unconfirmed = select(User.password_hash).where(User.mailbox == address.mailbox, User.verified_at.is_(None))
        async with self._database.read() as db:
            pending = await db.scalar(unconfirmed)
        # The same work for every address: without a pending hash, a dummy is verified; and once, however many tries.
        same = (await self._passwords.hasher.verify(password, pending)).valid
        for _ in range(3):
            with suppress(IntegrityError):
                await self._enter(address.mailbox, account, pending, same=same, mailable=mailable)
                return _proof(new_hash)
        raise Unavailable("The address is being registered by many at once.", retry_after=1)

    async def _enter(
        self, mailbox: str, account: Mapping[str, str | None], pending: str | None, *, same: bool, mailable: bool
    ) -> None:
        """Write the registration; the same statements run in every case, and some are taken back."""
        async with self._database.transaction() as db:
            known = await lock_mailbox(db, mailbox)
            # A password that was registered meanwhile was not compared, so it does not hold either.
            if known and known.verified_at is None and not (same and known.password_hash == pending):
                known.password_hash = known.display_name = None
            # If there is an account already, this one is taken back: its mailbox is a random text.
            new = User(**account, mailbox=mailbox if known is None else secrets.token_hex(), created_at=utc_now())
            new.verified_at, new.disabled_at, new.roles = None, None, frozenset([Role.MEMBER])
            async with taken_back(db, unless=known is None):
                db.add(new)
            user = known or new
            confirms = user.verified_at is None and user.disabled_at is None
            async with taken_back(db, unless=confirms and mailable):
                token = await self._tokens.issue(db, user, TokenKind.VERIFY)
            async with taken_back(db, unless=mailable):
                kind = MailKind.VERIFY if confirms else MailKind.ACCOUNT_EXISTS
                await self._mail.send(db, kind, user.email, user.id, token=token)
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
            await self._confirmation.admit("registered", str(owner.id), by="token", user_id=owner.id)
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
                await self._mail.send(db, MailKind.CHOOSE_PASSWORD, user.email, user.id, token=reset)
            emit_event(AccountEvent.EMAIL_VERIFIED, outcome="success", user_id=user.id)

    async def _is_mailable(self, address: EmailAddress, ip: str) -> bool:
        """Count the request for mail; if the address has a tag, also the client's requests with any tag of it."""
        allowed = (await self._mail.admit("registration", address.mailbox)).allowed
        if address.inbox != address.mailbox:
            # By client: a client cannot use up the limit of another one.
            tagged = await self._mail.admit("registration of tags", f"{address.inbox} {subscriber(ip)}")
            allowed = allowed and tagged.allowed
        return allowed

    async def forgot(self, email: str, *, ip: str) -> None:
        """Mail a token to the enabled account of the address; raises `TooManyRequests`, by the client alone."""
        await self._mail.admit_client(ip)
        address = parse_email_address(email)
        mailable = (await self._mail.admit(RECOVERY, address.mailbox)).allowed
        async with self._database.transaction() as db:
            known = await lock_mailbox(db, address.mailbox)
            found = known is not None and known.disabled_at is None
            user = known or User(id=uuid4(), email=address.address, mailbox=address.mailbox)
            async with taken_back(db, unless=found and mailable):
                token = await self._tokens.issue(db, user, TokenKind.RESET)
                await self._mail.notify(db, MailKind.RESET, user, token=token)
            outcome: Outcome = "success" if found else "failure"
            emit_event(AccountEvent.PASSWORD_RESET_REQUESTED, outcome=outcome, user_id=known and known.id)

    async def reset(self, token: SecretStr, password: SecretStr, client: Client) -> None:
        """Set a password, and end every session and whatever else acts for the user.

        Raises `BadRequest` for a token that does not hold; a password that is refused leaves the token as it was.
        """
        async with self._database.read() as db:
            owner = await self._tokens.owner(db, token, *_FOR_PASSWORDS)
        new_hash = await self._passwords.hash(password, email=owner.email, display_name=owner.display_name)
        if self.unlock is not None:
            await self.unlock(owner.mailbox, client.ip)
        async with self._database.transaction() as db:
            user, _ = await self._tokens.use(db, token, *_FOR_PASSWORDS)
            if user.verified_at is None:
                # A stranger may have registered the mailbox: nothing that they chose stays.
                user.verified_at, user.display_name = utc_now(), None
            user.password_hash = new_hash
            for revocation in self.reset_revocations:
                await revocation(db, user.id)
            await self._tokens.end_access(db, user.id, "password reset")
            connection = await db.connection()
            await connection.run_sync(forget_other_homes, user.id, client.ip)
            await connection.run_sync(remember_home, user.id, client.ip)
            await self._mail.notify(db, MailKind.PASSWORD_CHANGED, user)
            emit_event(AccountEvent.PASSWORD_RESET, outcome="success", user_id=user.id)


def _proof(password_hash: str) -> str:
    """Return what only the browser that registered gets: the hash has a random salt, so it reveals no password."""
    return urlsafe_b64encode(digest(password_hash)).decode().rstrip("=")
