"""The two rules of administration: nobody acts above their own rights, and the last administrator stays."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.principal import Principal
from app.access.roles import Role, permissions_of
from app.core.errors import Conflict, Forbidden
from app.features.accounts.models import User, UserRole


async def lock_administrators(unit: AsyncSession) -> set[UUID]:
    """Those who can administrate, locked first and in one order: no two can remove each other, and none deadlock."""
    administrators = (
        select(User.id)
        .join(UserRole, UserRole.user_id == User.id)
        .where(UserRole.role == Role.ADMIN, User.disabled_at.is_(None), User.verified_at.is_not(None))
        # A service account may do what it may, and signs in nowhere.
        .where(User.password_hash.is_not(None))
        .order_by(User.id)
        .with_for_update()
    )
    return set(await unit.scalars(administrators))


def keep_one(administrators: set[UUID], user: User) -> None:
    """Raise `Conflict` if without the user nobody could administrate."""
    if administrators == {user.id}:
        message = "This is the last administrator who can sign in."
        raise Conflict(message)


def require_authority(actor: Principal, roles: Iterable[Role]) -> None:
    """Raise `Forbidden` unless the actor may do all that the roles allow: rights are not raised through others."""
    if not permissions_of(roles) <= actor.permissions:
        message = "This needs every permission of the roles concerned."
        raise Forbidden(message)
