"""Accounts: finding them, signing them in, and what people change about their own."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from limits import RateLimitItem
from pydantic import SecretStr
from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.principal import Principal
from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database import Database
from app.core.errors import Conflict, Forbidden, NotFound, TooManyRequests
from app.core.limiter import Limiter
from app.core.security_events import SecurityEvent, security_event
from app.features.accounts.email_address import parse_email_address
from app.features.accounts.models import User, UserRole
from app.features.accounts.password_policy import PasswordPolicy
from app.features.accounts.passwords import PasswordHasher
from app.features.sessions.service import SELECT_ALIVE, EndReason, SessionService, signed_in_from

_users, _user_roles = User.__table__, UserRole.__table__
_alive = SELECT_ALIVE.subquery()
# What every request and every sign-in does is to be cheap: statements of the tables, not of the classes, made once.
_IDENTIFY = (
    select(_alive, _users.c.email, _users.c.display_name, _users.c.created_at, _user_roles.c.role)
    .join(_users, (_users.c.id == _alive.c.user_id) & _users.c.disabled_at.is_(None))
    .outerjoin(_user_roles, _user_roles.c.user_id == _alive.c.user_id)
)
_CREDENTIALS = select(
    _users.c.id, _users.c.password_hash, _users.c.disabled_at, signed_in_from(_users.c.id).label("known_address")
).where(_users.c.mailbox == bindparam("mailbox"))
_ADMIT = (
    select(_user_roles.c.role)
    .select_from(_users.outerjoin(_user_roles, _user_roles.c.user_id == _users.c.id))
    .where(_users.c.id == bindparam("user_id"), _users.c.password_hash == bindparam("password_hash"))
    .where(_users.c.disabled_at.is_(None))
    .with_for_update(of=_users)
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sign-in is checked against."""

    user_id: UUID
    password_hash: str | None
    enabled: bool
    known_address: bool


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is at this moment."""

    id: UUID
    email: str
    display_name: str | None
    created_at: datetime
    disabled_at: datetime | None
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Identity:
    """The account behind a session that is alive, and what the session says."""

    account: Account
    authenticated_at: datetime
    methods: tuple[str, ...]
    scope: frozenset[str]


class AccountService:
    """Accounts, one at a time."""

    def __init__(  # noqa: PLR0913, PLR0917  # one for each thing that an account touches
        self,
        database: Database,
        sessions: SessionService,
        hasher: PasswordHasher,
        policy: PasswordPolicy,
        limiter: Limiter,
        password_limit: RateLimitItem,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._hasher = hasher
        self._policy = policy
        self._limiter = limiter
        self._password_limit = password_limit

    async def create(
        self, email: str, password: SecretStr, roles: Iterable[Role], display_name: str | None = None
    ) -> UUID:
        """Create an account.

        Raises `ValueError` for what is no address, `Unprocessable` for a password that the policy refuses, `Conflict`
        where the mailbox has an account.
        """
        address = parse_email_address(email)
        accepted = self._policy.check(password, email=address.address, display_name=display_name, field="password")
        user = User(
            email=address.address,
            mailbox=address.mailbox,
            display_name=display_name,
            password_hash=await self._hasher.hash(accepted),
            created_at=utc_now(),
            role_rows=[UserRole(role=role) for role in roles],
        )
        try:
            async with self._database.transaction() as unit:
                unit.add(user)
                await unit.flush()
                security_event(
                    SecurityEvent.ACCOUNT_CREATED, outcome="success", user_id=user.id, roles=sorted(user.roles)
                )
        except IntegrityError:
            message = "There is an account with this e-mail address already."
            raise Conflict(message) from None
        return user.id

    async def get(self, user_id: UUID) -> User:
        """The account with its roles; raises `NotFound`."""
        async with self._database.read() as unit:
            user = await unit.get(User, user_id)
        if user is None:
            message = "There is no such account."
            raise NotFound(message)
        return user

    async def credentials(self, mailbox: str, ip: str) -> Credentials | None:
        """What a sign-in of the mailbox from the address is checked against."""
        async with self._database.read() as unit:
            row = (await unit.execute(_CREDENTIALS, {"mailbox": mailbox, "ip": ip})).one_or_none()
        if row is None:
            return None
        return Credentials(row.id, row.password_hash, row.disabled_at is None, row.known_address)

    async def admit(self, unit: AsyncSession, credentials: Credentials, new_hash: str | None) -> frozenset[Role] | None:
        """The roles of a user who is about to get a session, with their row locked until that is done.

        None if the account was disabled, deleted or given another password since `credentials` were read.
        """
        found = {"user_id": credentials.user_id, "password_hash": credentials.password_hash}
        rows = (await unit.execute(_ADMIT, found)).all()
        if not rows:
            return None
        if new_hash is not None:
            await unit.execute(update(User).where(User.id == credentials.user_id).values(password_hash=new_hash))
        return frozenset(Role(row.role) for row in rows if row.role)

    async def is_enabled(self, unit: AsyncSession, user_id: UUID) -> bool:
        """Whether the account exists and is not disabled."""
        return bool(await unit.scalar(select(User.id).where(User.id == user_id, User.disabled_at.is_(None))))

    async def identify(self, session_id: UUID) -> Identity | None:
        """Whose session it is, if it is alive and the account is enabled: one statement, for every request."""
        async with self._database.read() as unit:
            rows = (await unit.execute(_IDENTIFY, self._sessions.alive(session_id))).all()
        if not rows:
            return None
        first = rows[0]
        return Identity(
            account=Account(
                id=first.user_id,
                email=first.email,
                display_name=first.display_name,
                created_at=first.created_at,
                disabled_at=None,
                roles=frozenset(Role(row.role) for row in rows if row.role),
            ),
            authenticated_at=first.authenticated_at,
            methods=tuple(first.methods.split()),
            scope=frozenset(first.scope.split()),
        )

    async def change_profile(self, user_id: UUID, display_name: str | None) -> User:
        """Set the name that the user is shown by."""
        async with self._database.transaction() as unit:
            await unit.execute(update(User).where(User.id == user_id).values(display_name=display_name))
        return await self.get(user_id)

    async def change_password(self, principal: Principal, current: SecretStr, new: SecretStr) -> None:
        """Change the password of whoever knows the current one, and end every other session (ASVS 6.2.3, 7.4.3)."""
        key = ("password-change", str(principal.user_id))
        verdict = await self._limiter.hit(self._password_limit, *key)
        if not verdict.allowed:
            message = "Too many attempts to change the password."
            raise TooManyRequests(message, retry_after=verdict.retry_after)
        user = await self.get(principal.user_id)
        stored = user.password_hash
        if not (await self._hasher.verify(current, stored)).valid:
            security_event(
                SecurityEvent.PASSWORD_CHANGED,
                outcome="failure",
                user_id=principal.user_id,
                session_id=principal.session_id,
            )
            message = "The current password is wrong."
            raise Forbidden(message)
        await self._limiter.refund(self._password_limit, *key)
        accepted = self._policy.check(new, email=user.email, display_name=user.display_name)
        await self._replace_password(principal, stored, await self._hasher.hash(accepted))

    async def _replace_password(self, principal: Principal, old_hash: str | None, new_hash: str) -> None:
        unchanged = (User.id == principal.user_id, User.password_hash == old_hash)
        async with self._database.transaction() as unit:
            replaced = await unit.scalar(
                update(User).where(*unchanged).values(password_hash=new_hash).returning(User.id)
            )
            if replaced is None:
                message = "The password was changed meanwhile."
                raise Conflict(message)
            await self._sessions.end_all(unit, principal.user_id, EndReason.PASSWORD_CHANGED, keep=principal.session_id)
            security_event(
                SecurityEvent.PASSWORD_CHANGED,
                outcome="success",
                user_id=principal.user_id,
                session_id=principal.session_id,
            )
