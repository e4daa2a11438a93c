"""Service accounts: what OAuth clients act as by themselves. None can sign in: no password, no address (RFC 2606)."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.events import emit_event
from app.features.accounts.events import AccountEvent
from app.features.accounts.models import User, UserRole

DOMAIN = "clients.invalid"


async def add_service_account(db: AsyncSession, client_id: str, name: str, roles: Iterable[Role]) -> UUID:
    """Add the account of a client, in the caller's transaction."""
    now, address, given = utc_now(), f"{client_id}@{DOMAIN}", frozenset(roles)
    user = User(email=address, mailbox=address, display_name=name, created_at=now, verified_at=now, roles=given)
    db.add(user)
    await db.flush()
    emit_event(AccountEvent.ACCOUNT_CREATED, outcome="success", user_id=user.id, roles=sorted(given))
    return user.id


async def lock_service_account(db: AsyncSession, user_id: UUID) -> frozenset[Role]:
    """Lock the account until the transaction ends, and return its roles; none if it was deleted."""
    await db.execute(select(User.id).where(User.id == user_id).with_for_update())
    roles = await db.scalars(select(UserRole.role).where(UserRole.user_id == user_id))
    return frozenset(map(Role, roles))


async def remove_service_account(db: AsyncSession, user_id: UUID) -> None:
    """Delete the account with all that belongs to it."""
    await db.execute(delete(User).where(User.id == user_id))
