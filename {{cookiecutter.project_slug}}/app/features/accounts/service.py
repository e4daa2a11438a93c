"""Accounts: making them, finding them, and letting them in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import and_, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database import Database
from app.core.errors import Conflict, NotFound
from app.core.security_events import SecurityEvent, security_event
from app.features.accounts.email_address import parse_email_address
from app.features.accounts.models import User, UserRole
from app.features.accounts.passwords import PasswordHasher
from app.features.sessions.service import SessionSelect


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sign-in is checked against."""

    user_id: UUID
    password_hash: str | None
    active: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """The user behind a session that is alive, with the roles of this moment."""

    user_id: UUID
    roles: frozenset[Role]
    authenticated_at: datetime
    methods: tuple[str, ...]
    scope: frozenset[str]


class AccountService:
    """Accounts, one at a time."""

    def __init__(self, database: Database, hasher: PasswordHasher) -> None:
        self._database = database
        self._hasher = hasher

    async def create(
        self, email: str, password: SecretStr, roles: Iterable[Role], display_name: str | None = None
    ) -> UUID:
        """Create a verified account: `Conflict` where the mailbox has one, `ValueError` for what is no address.

        An account of the mailbox that nobody has confirmed gives way.
        """
        address = parse_email_address(email)
        now = utc_now()
        user = User(
            email=address.address,
            mailbox=address.mailbox,
            display_name=display_name,
            password_hash=await self._hasher.hash(password),
            created_at=now,
            verified_at=now,
            role_rows=[UserRole(role=role) for role in roles],
        )
        try:
            async with self._database.transaction() as unit:
                await unit.execute(delete(User).where(User.mailbox == address.mailbox, User.verified_at.is_(None)))
                unit.add(user)
        except IntegrityError:
            message = "There is an account with this e-mail address already."
            raise Conflict(message) from None
        security_event(SecurityEvent.ACCOUNT_CREATED, outcome="success", user_id=user.id, roles=sorted(user.roles))
        return user.id

    async def get(self, user_id: UUID) -> User:
        """The account with its roles; raises `NotFound`."""
        async with self._database.read() as unit:
            user = await unit.get(User, user_id)
        if user is None:
            message = "There is no such account."
            raise NotFound(message)
        return user

    async def credentials(self, mailbox: str) -> Credentials | None:
        """What a sign-in of the mailbox is checked against."""
        active = and_(User.disabled_at.is_(None), User.verified_at.is_not(None)).label("active")
        columns = select(User.id, User.password_hash, active).where(User.mailbox == mailbox)
        async with self._database.read() as unit:
            row = (await unit.execute(columns)).one_or_none()
        return row and Credentials(row.id, row.password_hash, active=bool(row.active))

    async def admit(self, unit: AsyncSession, credentials: Credentials, new_hash: str | None) -> frozenset[Role] | None:
        """The roles of a user who is about to get a session, with their row locked until that is done.

        None if the account was disabled, deleted or given another password since `credentials` were read.
        """
        unchanged = (User.id == credentials.user_id, User.password_hash == credentials.password_hash)
        active = (User.disabled_at.is_(None), User.verified_at.is_not(None))
        user = await unit.scalar(select(User).where(*unchanged, *active).with_for_update())
        if user is None:
            return None
        if new_hash is not None:
            user.password_hash = new_hash
        return user.roles

    async def is_enabled(self, unit: AsyncSession, user_id: UUID) -> bool:
        """Whether the account exists and is not disabled."""
        return bool(await unit.scalar(select(User.id).where(User.id == user_id, User.disabled_at.is_(None))))

    async def identify(self, session: SessionSelect) -> Identity | None:
        """The enabled user of the session that is selected, in one statement."""
        alive = session.subquery()
        statement = (
            select(alive, UserRole.role)
            .join(User, (User.id == alive.c.user_id) & User.disabled_at.is_(None))
            .outerjoin(UserRole, UserRole.user_id == User.id)
        )
        async with self._database.read() as unit:
            rows = (await unit.execute(statement)).all()
        if not rows:
            return None
        return Identity(
            user_id=rows[0].user_id,
            roles=frozenset(Role(row.role) for row in rows if row.role),
            authenticated_at=rows[0].authenticated_at,
            methods=tuple(rows[0].methods.split()),
            scope=frozenset(rows[0].scope.split()),
        )

    async def change_profile(self, user_id: UUID, display_name: str | None) -> User:
        """Set the name that the user is shown by."""
        async with self._database.transaction() as unit:
            await unit.execute(update(User).where(User.id == user_id).values(display_name=display_name))
        return await self.get(user_id)
