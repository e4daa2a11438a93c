"""The administration of accounts: list, change, disable, delete, assign roles.

Three rules hold for every change: the rights of the actor are checked in the transaction that writes, the account may
do nothing that the actor may not, and the last administrator stays.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.principal import Principal
from app.access.roles import Role
from app.core.clock import utc_now
from app.core.crypto.keys import KeyRing
from app.core.database.database import Database
from app.core.errors import NotFound
from app.core.events.event import SecurityEvent
from app.core.events.flow import emit_event
from app.core.pagination import Cursors, PageParams
from app.features.accounts.authority import Authority, denied, keep_one
from app.features.accounts.events import AccountEnd, AccountEvent
from app.features.accounts.mailed.alerts import Alert
from app.features.accounts.mailed.mails import Mailing
from app.features.accounts.models import User
from app.features.accounts.schemas import AccountUpdate


class AccountAdministration:
    """Changes accounts on behalf of a principal; a change of rights ends the account's sessions and mailed tokens."""

    def __init__(self, database: Database, authority: Authority, mailing: Mailing, keys: KeyRing) -> None:
        self._database = database
        self._authority = authority
        self._tokens, self._mail, _ = mailing
        self._cursors = Cursors(keys, "users")

    async def list_accounts(self, params: PageParams) -> tuple[list[User], str | None]:
        """Return accounts whose address or name holds the search, newest first, and the cursor of the next part."""
        statement = select(User)
        if params.search is not None:
            found = (column.icontains(params.search, autoescape=True) for column in (User.email, User.display_name))
            statement = statement.where(or_(*found))
        statement = self._cursors.select(statement, params, (User.created_at, User.id))
        async with self._database.read() as db:
            rows = (await db.scalars(statement)).all()
        rows, next_cursor = self._cursors.page(rows, params)
        return list(rows), next_cursor

    async def change(self, actor: Principal, user_id: UUID, change: AccountUpdate) -> User:
        """Rename, disable or enable an account; what is left out of `change` stays as it is."""
        async with self._database.transaction() as db:
            administrators = await self._authority.lock_actor(db, actor)
            user = await self.lock(db, actor, user_id)
            if "display_name" in change.model_fields_set and user.display_name != change.display_name:
                user.display_name = change.display_name
                emit_event(AccountEvent.ACCOUNT_RENAMED, outcome="success", user_id=actor.user_id, target_id=user_id)
            if change.disabled is not None and change.disabled != (user.disabled_at is not None):
                if change.disabled:
                    keep_one(administrators, user)
                event = await self._set_disabled(db, user, disabled=change.disabled)
                emit_event(event, outcome="success", user_id=actor.user_id, target_id=user_id)
        return user

    async def assign_roles(self, actor: Principal, user_id: UUID, roles: Iterable[Role]) -> User:
        """Give the account exactly these roles."""
        wanted = frozenset(roles)
        self._authority.require(actor, wanted)
        async with self._database.transaction() as db:
            administrators = await self._authority.lock_actor(db, actor)
            user = await self.lock(db, actor, user_id)
            before = user.roles
            if wanted == before:
                return user
            if Role.ADMIN not in wanted:
                keep_one(administrators, user)
            user.roles = wanted
            await self._tokens.end_access(db, user_id, AccountEnd.ROLES_CHANGED)
            await self._mail.alert(db, Alert.ROLES_CHANGED, user_id, roles=", ".join(sorted(wanted)))
            fields = {"target_id": user_id, "before": sorted(before), "after": sorted(wanted)}
            emit_event(AccountEvent.ROLES_CHANGED, outcome="success", user_id=actor.user_id, **fields)
        return user

    async def delete(self, actor: Principal, user_id: UUID) -> None:
        """Delete the account with all that belongs to it."""
        async with self._database.transaction() as db:
            administrators = await self._authority.lock_actor(db, actor)
            user = await self.lock(db, actor, user_id)
            keep_one(administrators, user)
            await db.execute(delete(User).where(User.id == user_id))
            emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success", user_id=actor.user_id, target_id=user_id)

    async def lock(self, db: AsyncSession, actor: Principal, user_id: UUID) -> User:
        """Lock an account that may do nothing that the actor may not; raises `NotFound`, `Forbidden`.

        An application that acts for a user is refused that user: what the user does to the own account asks for the
        password. The caller has locked the actor.
        """
        if actor.client_id is not None and actor.user_id == user_id:
            raise denied("An application that acts for you administers other accounts than yours.")
        user = await db.scalar(select(User).where(User.id == user_id).with_for_update())
        if user is None:
            raise NotFound("There is no such account.")
        self._authority.require(actor, user.roles)
        return user

    async def _set_disabled(self, db: AsyncSession, user: User, *, disabled: bool) -> SecurityEvent:
        if not disabled:
            user.disabled_at = None
            return AccountEvent.ACCOUNT_ENABLED
        user.disabled_at = utc_now()
        await self._tokens.end_access(db, user.id, AccountEnd.ACCOUNT_DISABLED)
        await self._mail.alert(db, Alert.ACCOUNT_DISABLED, user.id)
        return AccountEvent.ACCOUNT_DISABLED
