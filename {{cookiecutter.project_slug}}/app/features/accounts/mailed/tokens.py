"""Tokens by mail: 256 random bits, SHA-256 at rest, one use, one purpose (ASVS 6.4.1, 6.6.2, 11.5.1).

A token is dead when it was used, when a newer one of its kind exists, and after the account was disabled, or got other
roles, another password or another address: then its row is gone. Rows are locked in one order, the account before its
tokens, so that no two requests wait for each other.
"""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Row, Select, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.errors import BadRequest
from app.core.events.flow import emit_event
from app.features.accounts.email_address import EmailAddress
from app.features.accounts.events import AccountEvent
from app.features.accounts.models import AccountToken, User

_RANDOM_BYTES = 32
_SHAPE = re.compile(r"(vrf|pwr|eml|inv)_[A-Za-z0-9_-]{43}", re.ASCII)
_HOUR = timedelta(hours=1)


class TokenKind(StrEnum):
    """What a token is good for; the value is its prefix, which `core/secret_shapes.py` keeps out of the log."""

    VERIFY = "vrf"
    RESET = "pwr"
    EMAIL_CHANGE = "eml"
    INVITATION = "inv"


LIFETIMES = {
    TokenKind.VERIFY: _HOUR,
    TokenKind.RESET: _HOUR,
    TokenKind.EMAIL_CHANGE: _HOUR,
    # Nobody waits for an invitation: it has to outlast a week off. It opens an account that holds nothing yet, and
    # dies with its first use, with another invitation, and with the account.
    TokenKind.INVITATION: timedelta(days=7),
}


class Used(NamedTuple):
    """What a token opened: the account, locked, and the address that it was made for."""

    user: User
    address: EmailAddress


Revocation = Callable[[AsyncSession, UUID], Awaitable[None]]
"""Ends what another feature gave out for an account and nobody has used yet, in the caller's transaction."""


class AccountTokens:
    """The store of the tokens; every method works in the caller's transaction."""

    def __init__(self) -> None:
        self._also: list[Revocation] = []

    def also_revoke(self, revocation: Revocation) -> None:
        """Let another feature end what it gave out, whenever all tokens of an account end."""
        self._also.append(revocation)

    async def issue(self, db: AsyncSession, user: User, kind: TokenKind, address: EmailAddress | None = None) -> str:
        """Make a token to be mailed to the user, or to another address: the only one of its kind that they have.

        The caller has locked the account.
        """
        await db.execute(delete(AccountToken).where(AccountToken.user_id == user.id, AccountToken.kind == kind))
        email, mailbox = address or (user.email, user.mailbox)
        token = f"{kind}_{secrets.token_urlsafe(_RANDOM_BYTES)}"
        now = utc_now()
        row = AccountToken(
            token_hash=_digest(token),
            user_id=user.id,
            kind=kind,
            created_at=now,
            expires_at=now + LIFETIMES[kind],
            email=email,
            mailbox=mailbox,
        )
        db.add(row)
        await db.flush()
        return token

    async def owner(self, db: AsyncSession, token: SecretStr, *kinds: TokenKind) -> User | None:
        """The enabled account that a living token of one of the kinds belongs to; the token stays as it is."""
        found = _find(token, kinds)
        return None if found is None else await db.scalar(found)

    async def use(self, db: AsyncSession, token: SecretStr, *kinds: TokenKind) -> Used | None:
        """Use a token up: of any number at once, one gets the account, which is locked then, the others None."""
        found = _find(token, kinds)
        user = None if found is None else await db.scalar(found.with_for_update(of=User))
        if user is None:
            return None
        row = await self._take(db, token)
        if row is None:
            return None
        return Used(user, EmailAddress(row.email, row.mailbox))

    async def revoke_all(self, db: AsyncSession, user_id: UUID) -> None:
        """End every token of an account, and what other features gave out; the caller has locked the account."""
        await db.execute(delete(AccountToken).where(AccountToken.user_id == user_id))
        for revocation in self._also:
            await revocation(db, user_id)

    async def purge(self, db: AsyncSession, *, before: datetime, limit: int) -> int:
        """Delete tokens that expired before a moment, at most so many at once; how many it were."""
        expired = (
            select(AccountToken.token_hash)
            .where(AccountToken.expires_at < before)
            .order_by(AccountToken.expires_at)
            .limit(limit)
        )
        gone = delete(AccountToken).where(AccountToken.token_hash.in_(expired)).returning(AccountToken.token_hash)
        return len((await db.execute(gone)).all())

    async def _take(self, db: AsyncSession, token: SecretStr) -> Row[str, str] | None:
        """Delete the row: whoever gets it back is the one who used the token."""
        alive = (AccountToken.token_hash == _digest(token.get_secret_value()), AccountToken.expires_at > utc_now())
        taking = delete(AccountToken).where(*alive).returning(AccountToken.email, AccountToken.mailbox)
        return (await db.execute(taking)).one_or_none()


def token_refused(purpose: str) -> BadRequest:
    """The answer to a token that does not hold, told as an event. Why not is told to nobody."""
    emit_event(AccountEvent.ACCOUNT_TOKEN_REFUSED, outcome="denied", purpose=purpose)
    return BadRequest("The token is not valid: it is unknown, used, replaced or expired.")


def _find(token: SecretStr, kinds: tuple[TokenKind, ...]) -> Select[User] | None:
    """The statement that finds the enabled account of a living token; None for a text that is no such token."""
    shape = _SHAPE.fullmatch(token.get_secret_value())
    if shape is None or shape[1] not in kinds:
        return None
    return (
        select(User)
        .join(AccountToken, AccountToken.user_id == User.id)
        .where(
            AccountToken.token_hash == _digest(shape[0]),
            AccountToken.kind == shape[1],
            AccountToken.expires_at > utc_now(),
            User.disabled_at.is_(None),
        )
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
