"""Accounts: create, find and change them, and check who signs in to them; and those that OAuth clients act as.

A service account cannot sign in: it has no password, and no address that gets mail (RFC 2606).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import BeforeValidator, Field, SecretStr
from sqlalchemy import ColumnElement, Connection, Row, Select, Subquery, and_, bindparam, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.policies import CLIENT_SECRET, MFA, Principal
from app.access.roles import Permission, Role, RoleTable
from app.core.clock import utc_now
from app.core.database.cache import ReadCache
from app.core.database.database import Database, table_of
from app.core.email_address import ADDRESS_TAKEN, parse_email_address
from app.core.errors import Conflict, NotFound
from app.core.events import emit_event
from app.core.limits import subscriber
from app.core.services import Services
from app.core.settings.model import FeatureSettings
from app.core.settings.production import default
from app.core.settings.rules import refuse
from app.features.accounts.events import AccountEvent, Alert, parse_alerts
from app.features.accounts.models import User, UserRole
from app.features.accounts.passwords.policy import PasswordPolicy
from app.features.sessions.devices import at_home
from app.features.sessions.permissions import AccountPermission
from app.features.sessions.service import SELECT_ALIVE

SERVICE_DOMAIN = "clients.invalid"
"""The domain of the addresses of service accounts."""

_users, _user_roles = table_of(User), table_of(UserRole)
_active = (_users.c.disabled_at.is_(None), _users.c.verified_at.is_not(None))
_PROFILE = ("email", "display_name", "created_at", "verified_at", "disabled_at", "muted")
# Every request and every sign-in runs these: statements of the tables, not of the classes, are cheaper.


def with_account(alive: Subquery) -> Select[Any]:
    """Return the rows, which have a `user_id`, with the account of each if it is enabled: a row for each role."""
    return (
        select(alive, *(_users.c[name] for name in _PROFILE), _user_roles.c.role)
        .join(_users, (_users.c.id == alive.c.user_id) & _users.c.disabled_at.is_(None))
        .outerjoin(_user_roles, _user_roles.c.user_id == alive.c.user_id)
    )


def called(user: Any) -> str:
    """Return the address of an account; of a service account, whose address is made up, the name of its client."""
    is_made_up = user.email.endswith(f"@{SERVICE_DOMAIN}")
    return str((user.display_name if is_made_up else None) or user.email)


def is_service_account(user_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return the condition that an account is that of an OAuth client."""
    return user_id.in_(select(_users.c.id).where(_users.c.email.endswith(f"@{SERVICE_DOMAIN}")))


def has_address(user_id: ColumnElement[UUID], part: str) -> ColumnElement[bool]:
    """Return the condition that the address of an account contains a text, in any case."""
    return user_id.in_(select(_users.c.id).where(_users.c.email.icontains(part, autoescape=True)))


ANYBODY = select(_users.c.id).where(_users.c.verified_at.is_not(None), ~is_service_account(_users.c.id)).limit(1)
"""One account that gets mail: for work that has to be the same for nobody."""
_IDENTIFY = with_account(SELECT_ALIVE.subquery())
_CREDENTIALS = select(
    _users.c.id.label("user_id"),
    _users.c.password_hash,
    and_(*_active).label("active"),
    at_home(_users.c.id).label("at_home"),
).where(_users.c.mailbox == bindparam("mailbox"))
_ACTIVE_ROLES = (
    select(_user_roles.c.role)
    .select_from(_users.outerjoin(_user_roles, _user_roles.c.user_id == _users.c.id))
    .where(_users.c.id == bindparam("user_id"), *_active)
)
_LOCK_ACTIVE_ROLES = _ACTIVE_ROLES.with_for_update(of=_users)
_ADMIT = _LOCK_ACTIVE_ROLES.where(_users.c.password_hash == bindparam("password_hash"))


class Account(NamedTuple):
    """An account as it is at this moment."""

    id: UUID
    email: str
    display_name: str | None
    created_at: datetime
    verified_at: datetime | None
    disabled_at: datetime | None
    roles: frozenset[Role]
    permissions: frozenset[Permission]
    muted_alerts: frozenset[Alert]


class Identity(NamedTuple):
    """The account of a living session, and how the user authenticated."""

    account: Account
    authenticated_at: datetime
    methods: tuple[str, ...]
    needs_factor: bool

    def principal(self, session_id: UUID, may: frozenset[Permission], client_id: str | None = None) -> Principal:
        """Return the principal of a session with these permissions."""
        who, since, methods = self.account, self.authenticated_at, self.methods
        return Principal(who.id, session_id, who.roles, may, since, methods, client_id, self.needs_factor)


async def replace_unconfirmed(db: AsyncSession, mailbox: str) -> None:
    """Delete the account of a mailbox if it was neither confirmed nor disabled, an invited one too; emit an event."""
    replaceable = (User.verified_at.is_(None), User.disabled_at.is_(None))
    unconfirmed = delete(User).where(User.mailbox == mailbox, *replaceable).returning(User.id)
    for user_id in await db.scalars(unconfirmed):
        emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success", target_id=user_id, reason="never confirmed")


def _demanded(value: Any) -> Any:
    """Read roles with commas between them; `none` alone is no role."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if names != ["none"] and not set(Role).issuperset(names):
        refuse(f"names a role that does not exist; the roles are {', '.join(Role)}, and none is for no role")
    return () if names == ["none"] else tuple(map(Role, names))


class AccountSettings(FeatureSettings):
    """The settings of the accounts."""

    require_second_factor_for: Annotated[tuple[Role, ...], BeforeValidator(_demanded)] = Field(
        default_factory=default((Role.ADMIN,), ()), examples=["admin"]
    )
    """Roles that demand a second factor before anything else. `none`: no role. Unset: `admin` in production alone."""


class AccountService:
    """Creates, finds and changes accounts."""

    def __init__(self, services: Services) -> None:
        self._demanding = services[AccountSettings].require_second_factor_for
        self._database, self._passwords = services[Database], services[PasswordPolicy]
        self.permissions_of = services[RoleTable].permissions_of
        self._known: ReadCache[tuple[Identity, Row[Any]]] = ReadCache(self._database)
        self.ways_in: list[Callable[[ColumnElement[UUID]], ColumnElement[bool]]] = []
        """The condition of each feature that an account can sign in without a password."""

    async def create(
        self,
        email: str,
        password: SecretStr,
        roles: Iterable[Role],
        *,
        before_commit: Callable[[], object] | None = None,
    ) -> UUID:
        """Create a verified account, in place of an unconfirmed one, unless `before_commit` raises.

        Raises `ValueError` for the address, `Unprocessable` for the password, `Conflict` if the mailbox has an account.
        """
        address = parse_email_address(email)
        new_hash = await self._passwords.hash(password, address.address, None, field="password")
        try:
            async with self._database.transaction(before_commit=before_commit) as db:
                await replace_unconfirmed(db, address.mailbox)
                return await add_account(db, *address, None, roles, password_hash=new_hash)
        except IntegrityError:
            raise Conflict(ADDRESS_TAKEN) from None

    async def require_way_in(self, db: AsyncSession, user_id: UUID) -> None:
        """Raise `Conflict` if the account has lost its last way to sign in."""
        ways_in = or_(User.password_hash.is_not(None), *(way(_users.c.id) for way in self.ways_in))
        if await db.scalar(select(User.id).where(User.id == user_id, ways_in)) is None:
            raise Conflict("It is your only way to sign in. Add another, or sign out and ask for a password by mail.")

    async def drop_password(self, db: AsyncSession, user_id: UUID) -> None:
        """Forget the password of a locked account."""
        await db.execute(update(User).where(User.id == user_id).values(password_hash=None))

    async def get(self, user_id: UUID) -> User:
        """Return the account with its roles; raises `NotFound`."""
        async with self._database.read() as db:
            user = await db.get(User, user_id)
        if user is None:
            raise NotFound("There is no such account.")
        return user

    async def addresses(self, user_ids: Iterable[UUID]) -> dict[UUID, Any]:
        """Return id, address and name of each account that is there."""
        theirs = select(User.id, User.email, User.display_name).where(User.id.in_(set(user_ids)))
        async with self._database.read() as db:
            return {row.id: row for row in await db.execute(theirs)}

    async def find(self, address: str) -> UUID | None:
        """Return the account of an address, if there is one; raises `ValueError` for what is no address."""
        mailbox = parse_email_address(address).mailbox
        async with self._database.read() as db:
            return await db.scalar(select(User.id).where(User.mailbox == mailbox))

    async def credentials(self, mailbox: str, ip: str) -> Row[Any] | None:
        """Return what a sign-in of the mailbox from the address, which may be a home, is checked against."""
        rows = await self._database.fetch_all(_CREDENTIALS, {"mailbox": mailbox, "of_network": subscriber(ip)})
        return next(iter(rows), None)

    def admit(self, connection: Connection, credentials: Row[Any], new_hash: str | None) -> frozenset[Role] | None:
        """Lock the account and return its roles; None if it was disabled, deleted or given another password since."""
        found = {"user_id": credentials.user_id, "password_hash": credentials.password_hash}
        rows = connection.execute(_ADMIT, found).all()
        if rows and new_hash is not None:
            connection.execute(update(_users).where(_users.c.id == credentials.user_id).values(password_hash=new_hash))
        return _roles_in(rows) if rows else None

    async def active_roles(self, db: AsyncSession, user_id: UUID, *, lock: bool = False) -> frozenset[Role] | None:
        """Return the roles of an active account, or None; `lock` it to start a session that no password starts."""
        rows = (await db.execute(_LOCK_ACTIVE_ROLES if lock else _ACTIVE_ROLES, {"user_id": user_id})).all()
        return _roles_in(rows) if rows else None

    def lock_active(self, connection: Connection, user_id: UUID | None) -> frozenset[Role] | None:
        """Lock an active account, and return its roles; None if it is not active."""
        rows = connection.execute(_LOCK_ACTIVE_ROLES, {"user_id": user_id}).all()
        return _roles_in(rows) if rows else None

    def needs_factor(self, roles: frozenset[Role], methods: Collection[str]) -> bool:
        """Return whether a role demands a second factor, and a sign-in by these methods used none."""
        return not roles.isdisjoint(self._demanding) and MFA not in methods and CLIENT_SECRET not in methods

    def permitted(self, roles: frozenset[Role], methods: Collection[str]) -> frozenset[Permission]:
        """Return what the roles allow a session; without a factor that they demand, no more than to add it."""
        allowed = self.permissions_of(roles)
        return allowed.intersection(AccountPermission) if self.needs_factor(roles, methods) else allowed

    async def identify(self, session: Mapping[str, Any]) -> Identity | None:
        """Return whose living session it is, if the account is enabled; `session` is from `SessionService.alive`."""
        version, known = self._known.find(session["session_id"])
        # Time may have ended it. It may have been in use since the row was read.
        if known and (known[1].expires_at <= session["now"] or known[1].last_seen_at <= session["idle_since"]):
            known = None
        if known is None and (rows := await self._database.fetch_all(_IDENTIFY, session)):
            known = self.identity_in(rows), rows[0]
            self._known.keep(version, session["session_id"], rows[0].user_id, known)
        return known and known[0]

    def identity_in(self, rows: Sequence[Row[Any]]) -> Identity:
        """Return the identity in rows of `with_account`, which have `authenticated_at` and `methods`."""
        first, roles = rows[0], _roles_in(rows)
        methods = tuple(first.methods.split())
        profile: dict[str, Any] = {name: getattr(first, name) for name in _PROFILE}
        allowed, muted = self.permitted(roles, methods), parse_alerts(profile.pop("muted"))
        account = Account(id=first.user_id, roles=roles, permissions=allowed, muted_alerts=muted, **profile)
        return Identity(account, first.authenticated_at, methods, self.needs_factor(roles, methods))


def _roles_in(rows: Iterable[Row[Any]]) -> frozenset[Role]:
    """Return the roles in the rows of one account; an account without roles has one row with none."""
    return frozenset(Role(row.role) for row in rows if row.role)


async def add_account(
    db: AsyncSession, email: str, mailbox: str, name: str | None, roles: Iterable[Role], **more: str
) -> UUID:
    """Add a verified account in the caller's transaction; `more` is the `password_hash` of one with a password."""
    now, given = utc_now(), frozenset(roles)
    user = User(email=email, mailbox=mailbox, display_name=name, created_at=now, verified_at=now, roles=given, **more)
    db.add(user)
    await db.flush()
    emit_event(AccountEvent.ACCOUNT_CREATED, outcome="success", user_id=user.id, roles=sorted(given))
    return user.id


async def lock_service_account(db: AsyncSession, user_id: UUID) -> frozenset[Role]:
    """Lock the account until the transaction ends, and return its roles; none if it was deleted."""
    await db.execute(select(User.id).where(User.id == user_id).with_for_update())
    return frozenset(map(Role, await db.scalars(select(UserRole.role).where(UserRole.user_id == user_id))))


async def remove_service_account(db: AsyncSession, user_id: UUID) -> None:
    """Delete the account with all that belongs to it."""
    await db.execute(delete(User).where(User.id == user_id))
