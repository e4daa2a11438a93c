"""Locks that end with the transaction."""

import hashlib
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def lock_for_user(db: AsyncSession, what: str, user_id: UUID) -> None:
    """Let one transaction at a time count what a user keeps, and add to it; `what` names it, such as its table.

    On SQLite nothing is needed: a transaction that writes is the only one.
    """
    if db.get_bind().dialect.name == "postgresql":
        digest = hashlib.blake2b(f"{what}|{user_id}".encode(), digest_size=8).digest()
        await db.execute(select(func.pg_advisory_xact_lock(int.from_bytes(digest, signed=True))))
