"""The rules of administration: who writes is judged anew, nobody acts above their own rights, one administrator stays.

What writes for an actor locks in one order, so that no two of them wait for each other: the administrators and the
actor by id, the session of the actor, then what is written.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.principal import Principal
from app.access.roles import Role, permissions_of
from app.core.errors import Conflict, Forbidden, Unauthenticated
from app.core.events.catalog import SecurityEvent, security_event
from app.features.accounts.models import User, UserRole
from app.features.sessions.service import SessionService

_ADMINISTRATORS = (
    select(User.id)
    .join(UserRole, UserRole.user_id == User.id)
    .where(UserRole.role == Role.ADMIN, User.disabled_at.is_(None), User.verified_at.is_not(None))
    # A service account may do what it may, and signs in nowhere.
    .where(User.password_hash.is_not(None))
)


async def lock_administrators(db: AsyncSession, *others: UUID) -> set[UUID]:
    """Those who can administrate, locked first and in one order: no two can remove each other, and none deadlock.

    The accounts of `others` are locked among them.
    """
    locked = or_(User.id.in_(_ADMINISTRATORS), User.id.in_(others))
    await db.execute(select(User.id).where(locked).order_by(User.id).with_for_update())
    # Asked again: a statement that waited for a lock sees the roles of the time before it waited (PostgreSQL).
    return set(await db.scalars(_ADMINISTRATORS))


async def lock_actor(db: AsyncSession, sessions: SessionService, actor: Principal | None) -> set[UUID]:
    """Judge the actor in the transaction that writes, and let nobody end their rights until it ends.

    Returns those who can administrate. None is whoever runs a command. Raises `Unauthenticated` where the session of
    the actor has ended since the request was let in, as every end of rights ends it, and `Forbidden` where the account
    has fewer rights than the request.
    """
    if actor is None:
        return await lock_administrators(db)
    administrators = await lock_administrators(db, actor.user_id)
    await require_living_session(db, sessions, actor)
    rows = select(UserRole.role).join(User).where(User.id == actor.user_id, User.disabled_at.is_(None))
    if not actor.permissions <= permissions_of(map(Role, await db.scalars(rows))):
        raise denied("Your rights have changed meanwhile. Sign in again.")
    return administrators


async def require_living_session(db: AsyncSession, sessions: SessionService, actor: Principal) -> None:
    """Let nobody end the session of the actor until the transaction ends; raises `Unauthenticated` where it has ended.

    The account is locked before.
    """
    if not await sessions.lock_alive(db, actor.session_id):
        security_event(SecurityEvent.UNAUTHENTICATED, outcome="denied", reason="session ended", user_id=actor.user_id)
        raise Unauthenticated("The session has ended.", challenge='Bearer error="invalid_token"')


def keep_one(administrators: set[UUID], user: User) -> None:
    """Raise `Conflict` if without the user nobody could administrate."""
    if administrators == {user.id}:
        raise Conflict("This is the last administrator who can sign in.")


def require_authority(actor: Principal, roles: Iterable[Role]) -> None:
    """Raise `Forbidden` unless the actor may do all that the roles allow: rights are not raised through others."""
    if not permissions_of(roles) <= actor.permissions:
        raise denied("This needs every permission of the roles concerned.")


def denied(message: str) -> Forbidden:
    """The error to raise where the policy of the route let in somebody who asks for more than they may; it is told.

    `message` repeats nothing that was sent.
    """
    security_event(SecurityEvent.ACCESS_DENIED, outcome="denied", reason=message)
    return Forbidden(message)
