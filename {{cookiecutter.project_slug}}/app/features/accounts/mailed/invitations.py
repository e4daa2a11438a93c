"""Invitations: an administrator makes an account for another person, also if registration is closed.

The account exists at once: administrators can see, change and delete it. It opens when the invited person chooses a
password with the mailed token: no administrator ever knows one (ASVS 6.4.1).
"""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.principal import Principal
from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.errors import Conflict
from app.core.events.flow import emit_event
from app.features.accounts.authority import Authority, denied
from app.features.accounts.email_address import EmailAddress, parse_email_address
from app.features.accounts.events import AccountEvent
from app.features.accounts.mailed.limits import too_many
from app.features.accounts.mailed.mails import Mailing, MailKind
from app.features.accounts.mailed.tokens import TokenKind
from app.features.accounts.models import User
from app.features.accounts.permissions import UserPermission

_TAKEN = "There is an account with this e-mail address already."


class InvitationService:
    """Invites people."""

    def __init__(self, database: Database, authority: Authority, mailing: Mailing) -> None:
        self._database = database
        self._authority = authority
        self._tokens, self._mail, self._limits = mailing

    async def invite(self, actor: Principal, email: str, roles: Iterable[Role], *, ip: str) -> User:
        """Make an account without a password, and mail a token to choose one.

        Raises `Forbidden` for roles that the actor may not give, `Conflict` if the address has a confirmed account,
        `TooManyRequests`. An unconfirmed account is invited anew: nothing else of it stays.
        """
        wanted = frozenset(roles)
        if wanted != {Role.MEMBER} and UserPermission.ROLES_ASSIGN not in actor.permissions:
            raise denied(f"Other roles than {Role.MEMBER} need the permission {UserPermission.ROLES_ASSIGN}.")
        self._authority.require(actor, wanted)
        await self._limits.admit_client(ip)
        address = parse_email_address(email)
        verdict = await self._limits.admit_mailbox("invitation", address.mailbox)
        if not verdict.allowed:
            raise too_many(verdict)
        try:
            async with self._database.transaction() as db:
                await self._authority.lock_actor(db, actor)
                user = await self._prepare(db, actor, address, wanted)
                token = await self._tokens.issue(db, user, TokenKind.INVITATION)
                await self._mail.send(db, MailKind.INVITATION, user.email, token=token)
                who = {"user_id": actor.user_id, "target_id": user.id}
                emit_event(AccountEvent.ACCOUNT_INVITED, outcome="success", **who, roles=sorted(wanted))
        except IntegrityError:
            raise Conflict(_TAKEN) from None
        return user

    async def _prepare(self, db: AsyncSession, actor: Principal, address: EmailAddress, roles: frozenset[Role]) -> User:
        """Return the account of the invited person, locked: a new one, or the unconfirmed one."""
        user = await db.scalar(select(User).where(User.mailbox == address.mailbox).with_for_update())
        if user is None:
            user = User(mailbox=address.mailbox, created_at=utc_now(), verified_at=None, disabled_at=None)
            db.add(user)
        elif user.verified_at is not None or user.disabled_at is not None:
            raise Conflict(_TAKEN)
        else:
            self._authority.require(actor, user.roles)
            await self._tokens.revoke_all(db, user.id)
        user.email, user.password_hash, user.display_name = address.address, None, None
        user.roles = roles
        await db.flush()
        return user
