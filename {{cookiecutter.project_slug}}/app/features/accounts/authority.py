"""The rules of administration: rights are checked when a change is written, and one administrator stays.

Every change locks in one order (no deadlock): administrators and actor by id, the actor's session, what is written.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guard import AccessEvent
from app.access.policies import Principal
from app.access.roles import Role, RoleTable
from app.core.errors import Conflict, Forbidden
from app.core.events import emit_event
from app.features.accounts.models import User, UserRole
from app.features.accounts.permissions import UserPermission
from app.features.sessions.service import SessionService

_ADMINISTRATORS = (
    select(User.id)
    .join(UserRole, UserRole.user_id == User.id)
    .where(UserRole.role == Role.ADMIN, User.disabled_at.is_(None), User.verified_at.is_not(None))
    # A service account cannot sign in, so it does not count.
    .where(User.password_hash.is_not(None))
)


async def lock_administrators(db: AsyncSession, *others: UUID) -> set[UUID]:
    """Lock the accounts of `others` and of those who can administrate, in one order; return the latter."""
    locked = or_(User.id.in_(_ADMINISTRATORS), User.id.in_(others))
    await db.execute(select(User.id).where(locked).order_by(User.id).with_for_update())
    # Select again: a statement that waited for a lock sees the roles of the time before it waited (PostgreSQL).
    return set(await db.scalars(_ADMINISTRATORS))


class Authority:
    """Checks what an actor may do to others, in the transaction that writes."""

    def __init__(self, sessions: SessionService, roles: RoleTable) -> None:
        self.sessions = sessions
        self._roles = roles

    async def lock_actor(self, db: AsyncSession, actor: Principal | None) -> set[UUID]:
        """Lock the rights of the actor (None: the operator, by a command), and return those who can administrate.

        Raises `Unauthenticated` if the session has ended meanwhile, `Forbidden` if the account has fewer rights by now.
        """
        if actor is None:
            return await lock_administrators(db)
        administrators = await lock_administrators(db, actor.user_id)
        await self.sessions.require_alive(db, actor)
        rows = select(UserRole.role).join(User).where(User.id == actor.user_id, User.disabled_at.is_(None))
        if not actor.permissions <= self._roles.permissions_of(map(Role, await db.scalars(rows))):
            raise denied("Your rights have changed meanwhile. Sign in again.")
        return administrators

    def require_to_give(self, actor: Principal, roles: frozenset[Role]) -> None:
        """Raise `Forbidden` unless the actor may make an account with the roles, and do all that they allow."""
        if roles != {Role.MEMBER} and UserPermission.ROLES_ASSIGN not in actor.permissions:
            raise denied(f"Other roles than {Role.MEMBER} need the permission {UserPermission.ROLES_ASSIGN}.")
        self.require(actor, roles)

    def require(self, actor: Principal, roles: Iterable[Role]) -> None:
        """Raise `Forbidden` unless the actor may do all that the roles allow."""
        if not self._roles.permissions_of(roles) <= actor.permissions:
            raise denied("This needs every permission of the roles concerned.")


def keep_one(administrators: set[UUID], user: User) -> None:
    """Raise `Conflict` if the user is the only administrator."""
    if administrators == {user.id}:
        raise Conflict("This is the last administrator who can sign in.")


def denied(message: str) -> Forbidden:
    """Return the error for an actor whom the policy let in, and emit an event. `message` repeats no value of theirs."""
    emit_event(AccessEvent.ACCESS_DENIED, outcome="denied", reason=message)
    return Forbidden(message)
