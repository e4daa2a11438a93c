"""Refresh tokens: one-time, opaque, stored hashed; those of one session are a family (RFC 9700 section 4.14.2)."""

import re
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, false, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.crypto import digest, new_token
from app.core.database.database import table_of
from app.features.sessions.service import NewSession
from app.features.signin.models import RefreshToken

PREFIX = "rt_"
_ISSUE = insert(table_of(RefreshToken))
_SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)


def issue(connection: Connection, session: NewSession) -> str:
    """Add a refresh token of 256 random bits to the family of a session, on the connection of a transaction."""
    token = new_token(PREFIX)
    connection.execute(_ISSUE, {"token_hash": digest(token), "session_id": session.id, "created_at": utc_now()})
    return token


async def use(db: AsyncSession, token: str) -> UUID | None:
    """Use the token up, and return its session; None if the token is unknown or was used before."""
    using = update(RefreshToken).where(_is(token), RefreshToken.used_at.is_(None)).values(used_at=utc_now())
    return await db.scalar(using.returning(RefreshToken.session_id))


async def unused(db: AsyncSession, token: str) -> RefreshToken | None:
    """Return the row of a token that was not used yet."""
    return await db.scalar(select(RefreshToken).where(_is(token), RefreshToken.used_at.is_(None)))


async def family(db: AsyncSession, token: str) -> UUID | None:
    """Return the session of a token, used or not; None if there is no such token."""
    return await db.scalar(select(RefreshToken.session_id).where(_is(token)))


def _is(token: str) -> ColumnElement[bool]:
    """Match the row of a token; a text that is no refresh token matches none."""
    return RefreshToken.token_hash == digest(token) if _SHAPE.fullmatch(token) else false()
