"""The administration of accounts: rights are checked in the transaction that writes, and one administrator stays.

An account may do nothing that its administrator may not. An invitation opens when the invited person chooses a
password with the mailed token: no administrator ever knows one (ASVS 6.4.1).
Every change locks in one order (no deadlock): administrators and actor by id, the actor's session, what is written.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from app.access.guard import AccessEvent
from app.access.policies import Principal
from app.access.roles import Role, RoleTable
from app.core.clock import utc_now
from app.core.crypto import KeyRing
from app.core.database.database import Database, table_of
from app.core.email_address import ADDRESS_TAKEN, EmailAddress, parse_email_address
from app.core.errors import Conflict, Forbidden, NotFound
from app.core.events import emit_event
from app.core.pagination import Cursors, PageParams
from app.core.services import Services
from app.features.accounts.events import AccountEvent, Alert
from app.features.accounts.mailed.mails import TOO_MANY, AccountMail, MailKind
from app.features.accounts.mailed.tokens import AccountTokens, TokenKind
from app.features.accounts.models import User, UserRole
from app.features.accounts.permissions import UserPermission
from app.features.accounts.schemas import AccountSort, AccountState, AccountUpdate
from app.features.accounts.service import is_service_account
from app.features.sessions.service import SessionService

_ADMINISTRATORS = (
    select(User.id)
    .join(UserRole, UserRole.user_id == User.id)
    .where(UserRole.role == Role.ADMIN, User.disabled_at.is_(None), User.verified_at.is_not(None))
    # A service account cannot sign in, so it does not count; people without a password can.
    .where(~is_service_account(table_of(User).c.id))
)


async def lock_administrators(db: AsyncSession, *others: UUID) -> set[UUID]:
    """Lock the accounts of `others` and of those who can administrate, in one order; return the latter."""
    locked = or_(User.id.in_(_ADMINISTRATORS), User.id.in_(others))
    await db.execute(select(User.id).where(locked).order_by(User.id).with_for_update())
    # Select again: a statement that waited for a lock sees the roles of the time before it waited (PostgreSQL).
    return set(await db.scalars(_ADMINISTRATORS))


class Authority:
    """Checks what an actor may do to others, in the transaction that writes."""

    def __init__(self, services: Services) -> None:
        self.sessions, self._roles = services[SessionService], services[RoleTable]

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


def _matching(search: str | None, state: AccountState | None) -> Iterator[ColumnElement[bool]]:
    if search is not None:
        yield or_(*(column.icontains(search, autoescape=True) for column in (User.email, User.display_name)))
    if state == "disabled":
        yield User.disabled_at.is_not(None)
    elif state is not None:
        confirmed = User.verified_at.is_not(None)
        yield and_(User.disabled_at.is_(None), confirmed if state == "active" else ~confirmed)


def keep_one(administrators: set[UUID], user: User) -> None:
    """Raise `Conflict` if the user is the only administrator."""
    if administrators == {user.id}:
        raise Conflict("This is the last administrator who can sign in.")


def denied(message: str) -> Forbidden:
    """Return the error for an actor whom the policy let in, and emit an event. `message` repeats no value of theirs."""
    emit_event(AccessEvent.ACCESS_DENIED, outcome="denied", reason=message)
    return Forbidden(message)


class AccountAdministration:
    """Changes accounts on behalf of a principal; a change of rights ends the account's sessions and mailed tokens."""

    def __init__(self, services: Services) -> None:
        self._database, self._keys = services[Database], services[KeyRing]
        self._authority, self._tokens, self._mail = services[Authority], services[AccountTokens], services[AccountMail]

    async def list_accounts(
        self, params: PageParams, state: AccountState | None = None, sort: AccountSort = "-created_at"
    ) -> tuple[list[User], str | None]:
        """Return accounts whose address or name holds the search, and the cursor of the next part."""
        name = sort.removeprefix("-").replace("email", "mailbox")  # which has an index, and addresses in one case
        read = str if name == "mailbox" else datetime.fromisoformat
        cursors = Cursors(self._keys, f"users {sort} {state}", {name: read, "id": UUID})
        statement = select(User).options(undefer(User.last_sign_in)).where(*_matching(params.search, state))
        params = params._replace(ascending=not sort.startswith("-"))
        return await cursors.fetch(self._database, statement, params, (getattr(User, name), User.id))

    async def count_accounts(self, search: str | None, state: AccountState | None) -> int:
        """Return how many accounts `list_accounts` has in all its parts."""
        async with self._database.read() as db:
            return await db.scalar(select(func.count()).select_from(User).where(*_matching(search, state))) or 0

    async def invite(self, actor: Principal, email: str, roles: Iterable[Role], *, ip: str) -> User:
        """Mail a token to choose a password; an unconfirmed account of the address is invited anew, and keeps nothing.

        Raises `Forbidden` for roles that the actor may not give, `Conflict` for a confirmed account, `TooManyRequests`.
        """
        wanted = frozenset(roles)
        self._authority.require_to_give(actor, wanted)
        await self._mail.admit_client(ip)
        address = parse_email_address(email)
        (await self._mail.admit("invitation", address.mailbox)).require(TOO_MANY)
        try:
            async with self._database.transaction() as db:
                await self._authority.lock_actor(db, actor)
                user = await self._prepare(db, actor, address, wanted)
                token = await self._tokens.issue(db, user, TokenKind.INVITATION)
                await self._mail.send(db, MailKind.INVITATION, user.email, user.id, token=token)
                who = {"user_id": actor.user_id, "target_id": user.id}
                emit_event(AccountEvent.ACCOUNT_INVITED, outcome="success", **who, roles=sorted(wanted))
        except IntegrityError:
            raise Conflict(ADDRESS_TAKEN) from None
        return user

    async def _prepare(self, db: AsyncSession, actor: Principal, address: EmailAddress, roles: frozenset[Role]) -> User:
        """Return the account of the invited person, locked: a new one, or the unconfirmed one."""
        user = await db.scalar(select(User).where(User.mailbox == address.mailbox).with_for_update())
        if user is None:
            user = User(mailbox=address.mailbox, created_at=utc_now(), verified_at=None, disabled_at=None)
            db.add(user)
        elif user.verified_at is not None or user.disabled_at is not None:
            raise Conflict(ADDRESS_TAKEN)
        else:
            self._authority.require(actor, user.roles)
            await self._tokens.revoke_all(db, user.id)
        user.email, user.password_hash, user.display_name = address.address, None, None
        user.roles = roles
        await db.flush()
        return user

    async def change(self, actor: Principal, user_id: UUID, change: AccountUpdate) -> User:
        """Rename, disable or enable an account; what is left out of `change` stays as it is."""
        async with self.locked(actor, user_id) as (db, user, administrators):
            if "display_name" in change.model_fields_set and user.display_name != change.display_name:
                user.display_name = change.display_name
                emit_event(AccountEvent.ACCOUNT_RENAMED, outcome="success", user_id=actor.user_id, target_id=user_id)
            if change.disabled is not None and change.disabled != (user.disabled_at is not None):
                event = AccountEvent.ACCOUNT_DISABLED if change.disabled else AccountEvent.ACCOUNT_ENABLED
                if change.disabled:
                    keep_one(administrators, user)
                    user.disabled_at = utc_now()
                    await self._tokens.end_access(db, user_id, "account disabled")
                    await self._mail.alert(db, Alert.ACCOUNT_DISABLED, user_id)
                else:
                    user.disabled_at = None
                    # There are no tokens: this allows a reset again, however often one was asked for in vain.
                    await self._tokens.revoke_all(db, user_id)
                emit_event(event, outcome="success", user_id=actor.user_id, target_id=user_id)
        return user

    async def assign_roles(self, actor: Principal, user_id: UUID, roles: Iterable[Role]) -> User:
        """Give the account exactly these roles."""
        wanted = frozenset(roles)
        self._authority.require(actor, wanted)
        async with self.locked(actor, user_id) as (db, user, administrators):
            before = user.roles
            if wanted == before:
                return user
            if Role.ADMIN not in wanted:
                keep_one(administrators, user)
            user.roles = wanted
            await self._tokens.end_access(db, user_id, "roles changed")
            await self._mail.alert(db, Alert.ROLES_CHANGED, user_id, roles=", ".join(sorted(wanted)))
            fields = {"target_id": user_id, "before": sorted(before), "after": sorted(wanted)}
            emit_event(AccountEvent.ROLES_CHANGED, outcome="success", user_id=actor.user_id, **fields)
        return user

    async def delete(self, actor: Principal, user_id: UUID) -> None:
        """Delete the account with all that belongs to it."""
        async with self.locked(actor, user_id) as (db, user, administrators):
            keep_one(administrators, user)
            await db.execute(delete(User).where(User.id == user_id))
            emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success", user_id=actor.user_id, target_id=user_id)

    @asynccontextmanager
    async def locked(self, actor: Principal, user_id: UUID) -> AsyncIterator[tuple[AsyncSession, User, set[UUID]]]:
        """Begin a transaction for a change of an account; yields it, the account, and those who can administrate.

        Raises `NotFound`, and `Forbidden` if the account may do what the actor may not, or if an application acts for
        its user: what users do to their own account asks for the password.
        """
        async with self._database.transaction() as db:
            administrators = await self._authority.lock_actor(db, actor)
            if actor.client_id is not None and actor.user_id == user_id:
                raise denied("An application that acts for you administers other accounts than yours.")
            user = await db.scalar(select(User).where(User.id == user_id).with_for_update())
            if user is None:
                raise NotFound("There is no such account.")
            self._authority.require(actor, user.roles)
            yield db, user, administrators
