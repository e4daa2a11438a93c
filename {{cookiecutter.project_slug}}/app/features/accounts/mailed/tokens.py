"""Tokens by mail: 256 random bits, SHA-256 at rest, one use, one purpose (ASVS 6.4.1, 6.6.2, 11.5.1).

The row of a token is deleted when it is used or replaced, and when the account is disabled or gets other roles, another
password or address. The account is locked before its tokens.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import lazyload

from app.core.clock import utc_now
from app.core.crypto import digest, new_token
from app.core.email_address import EmailAddress
from app.core.errors import BadRequest
from app.core.events import emit_event
from app.core.services import Services
from app.features.accounts.events import AccountEvent
from app.features.accounts.models import AccountToken, User
from app.features.sessions.service import SessionService

_SHAPE = re.compile(r"(vrf|pwr|eml|inv)_[A-Za-z0-9_-]{43}", re.ASCII)


class TokenKind(StrEnum):
    """What a token is for; the value is its prefix, which `core/logging/secret_shapes.py` keeps out of the log."""

    VERIFY = "vrf"
    RESET = "pwr"
    EMAIL_CHANGE = "eml"
    INVITATION = "inv"


# An invitation has to outlast a week off. It opens an account that holds nothing yet.
LIFETIMES = dict.fromkeys(TokenKind, timedelta(hours=1)) | {TokenKind.INVITATION: timedelta(days=7)}

Revocation = Callable[[AsyncSession, UUID], Awaitable[None]]
"""Ends what another feature issued for an account, in the caller's transaction."""


class AccountTokens:
    """The store of the tokens; every method works in the caller's transaction."""

    def __init__(self, services: Services) -> None:
        self._sessions = services[SessionService]
        self.revocations: list[Revocation] = []
        """What is done besides, whenever all tokens of an account end."""

    async def issue(self, db: AsyncSession, user: User, kind: TokenKind, address: EmailAddress | None = None) -> str:
        """Make a token of a locked user, for another address if one is given, in place of an older one of its kind."""
        await db.execute(delete(AccountToken).where(AccountToken.user_id == user.id, AccountToken.kind == kind))
        email, mailbox = address or (user.email, user.mailbox)
        token = new_token(f"{kind}_")
        now = utc_now()
        row = AccountToken(token_hash=digest(token), user_id=user.id, kind=kind, email=email, mailbox=mailbox)
        row.created_at, row.expires_at = now, now + LIFETIMES[kind]
        db.add(row)
        await db.flush()
        return token

    async def owner(self, db: AsyncSession, token: SecretStr, *kinds: TokenKind, lock: bool = False) -> User:
        """Return the enabled account of a living token of one of the kinds; raises `BadRequest` for any other token."""
        shape = _SHAPE.fullmatch(token.get_secret_value())
        if shape is not None and shape[1] in kinds:
            owner = select(User).join(AccountToken, AccountToken.user_id == User.id)
            owner = owner.where(_alive(token), AccountToken.kind == shape[1], User.disabled_at.is_(None))
            user = await db.scalar(owner.with_for_update(of=User) if lock else owner)
            if user is not None:
                return user
        raise _refused(kinds)

    async def use(self, db: AsyncSession, token: SecretStr, *kinds: TokenKind) -> tuple[User, EmailAddress]:
        """Use a token up, once; return the locked account and the address it was mailed to; raises as `owner` does."""
        user = await self.owner(db, token, *kinds, lock=True)
        taking = delete(AccountToken).where(_alive(token)).returning(AccountToken.email, AccountToken.mailbox)
        row = (await db.execute(taking)).one_or_none()
        if row is None:
            raise _refused(kinds)
        return user, EmailAddress(row.email, row.mailbox)

    async def revoke_all(self, db: AsyncSession, user_id: UUID) -> None:
        """End every token of an account, and what other features issued; the caller has locked the account."""
        await db.execute(delete(AccountToken).where(AccountToken.user_id == user_id))
        for revocation in self.revocations:
            await revocation(db, user_id)

    async def end_access(self, db: AsyncSession, user_id: UUID, reason: str, *, keep: UUID | None = None) -> None:
        """End every token of an account as `revoke_all` does, and its sessions as `SessionService.end_all` does."""
        await self.revoke_all(db, user_id)
        await self._sessions.end_all(db, user_id, reason, keep=keep)


async def lock_mailbox(db: AsyncSession, mailbox: str) -> User | None:
    """Lock and return the account of a mailbox, without its roles: the same statements, whether there is one or not."""
    # There, accounts are locked, and not the file: those who ask for an address of nobody wait for each other, too.
    if db.get_bind().dialect.name == "postgresql":
        await db.execute(select(func.pg_advisory_xact_lock(int.from_bytes(digest(mailbox)[:8], signed=True))))
    found = select(User).where(User.mailbox == mailbox).options(lazyload(User.role_rows)).with_for_update()
    return await db.scalar(found)


@asynccontextmanager
async def taken_back(db: AsyncSession, *, unless: bool) -> AsyncIterator[None]:
    """Take back what the block writes unless `unless`: equal work, so equal time, for every address (ASVS 6.3.8)."""
    savepoint = await db.begin_nested()
    try:
        yield
        await db.flush()
    except BaseException:
        await savepoint.rollback()
        raise
    await (savepoint.commit() if unless else savepoint.rollback())


def never_confirmed(_: object, before: datetime) -> ColumnElement[bool]:
    """Return the condition on accounts made before a time that no living token would confirm, but disabled ones."""
    alive = exists().where(AccountToken.user_id == User.id, AccountToken.expires_at > utc_now())
    return User.verified_at.is_(None) & User.disabled_at.is_(None) & (User.created_at < before) & ~alive


def _alive(token: SecretStr) -> ColumnElement[bool]:
    return (AccountToken.token_hash == digest(token.get_secret_value())) & (AccountToken.expires_at > utc_now())


def _refused(kinds: tuple[TokenKind, ...]) -> BadRequest:
    """Return the error for a token that does not hold, and emit an event. The reason is not reported."""
    purpose = kinds[0].name.lower().replace("_", " ")
    emit_event(AccountEvent.ACCOUNT_TOKEN_REFUSED, outcome="denied", purpose=purpose)
    return BadRequest("The token is not valid: it is unknown, used, replaced or expired.")
