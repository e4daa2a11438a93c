"""Refresh tokens: one-time, opaque, stored hashed; those of one session are a family (RFC 9700 section 4.14.2).

Whoever presents a token that was used before has a copy of it, or the owner's copy was used by somebody else: the whole
family ends. That is committed before the error is raised, so that no error answer can roll it back.
"""

import hashlib
import re
import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.database.database import table_of
from app.features.signin.models import RefreshToken

PREFIX = "rt_"
_RANDOM_BYTES = 32
_ISSUE = insert(table_of(RefreshToken))
_SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)


def issue(connection: Connection, session_id: UUID) -> str:
    """Add a refresh token of 256 random bits to the family, on the connection of a transaction."""
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    row = {"token_hash": _digest(token), "session_id": session_id, "created_at": utc_now()}
    connection.execute(_ISSUE, row)
    return token


async def use(db: AsyncSession, token: str) -> UUID | None:
    """Use the token up; the session it belongs to, or None if it is unknown or was used before."""
    if not _SHAPE.fullmatch(token):
        return None
    using = (
        update(RefreshToken)
        .where(RefreshToken.token_hash == _digest(token), RefreshToken.used_at.is_(None))
        .values(used_at=utc_now())
        .returning(RefreshToken.session_id)
    )
    return await db.scalar(using)


async def unused(db: AsyncSession, token: str) -> tuple[UUID, datetime] | None:
    """The session of a token that was not used yet, and when it was issued."""
    if not _SHAPE.fullmatch(token):
        return None
    found = select(RefreshToken.session_id, RefreshToken.created_at)
    found = found.where(RefreshToken.token_hash == _digest(token), RefreshToken.used_at.is_(None))
    row = (await db.execute(found)).one_or_none()
    return row and (row.session_id, row.created_at)


async def family(db: AsyncSession, token: str) -> UUID | None:
    """The session of a token, used or not; None if there is no such token."""
    if not _SHAPE.fullmatch(token):
        return None
    return await db.scalar(select(RefreshToken.session_id).where(RefreshToken.token_hash == _digest(token)))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
