"""The tables of the accounts."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, LargeBinary, String, func
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from app.access.roles import Role
from app.core.database.database import Base
from app.core.email_address import LONGEST_ADDRESS, LONGEST_MAILBOX
from app.features.accounts.events import Alert, parse_alerts
from app.features.sessions.devices import newest_session


class UserRole(Base):
    """A role that a user has."""

    __tablename__ = "user_roles"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(32), primary_key=True)


class User(Base):
    """An account: mail goes to `email`; `mailbox` is the same for all spellings of one address.

    Nobody can sign in until `verified_at` is set. `muted` are alerts that are switched off, separated by spaces.
    """

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(String(LONGEST_ADDRESS))
    mailbox: Mapped[str] = mapped_column(String(LONGEST_MAILBOX), unique=True)
    display_name: Mapped[str | None] = mapped_column(String(100))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column()
    verified_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    muted: Mapped[str | None] = mapped_column(String(200))
    last_sign_in: Mapped[datetime] = column_property(func.coalesce(newest_session(id), created_at), deferred=True)
    """When the newest session that is kept began; without one, `created_at`. Lists of accounts load it."""
    role_rows: Mapped[list[UserRole]] = relationship(lazy="selectin", cascade="all,delete-orphan", passive_deletes=True)

    @property
    def roles(self) -> frozenset[Role]:
        """The roles of the user; setting them keeps the rows of those that stay."""
        return frozenset(Role(row.role) for row in self.role_rows)

    @roles.setter
    def roles(self, roles: frozenset[Role]) -> None:
        kept = [row for row in self.role_rows if row.role in roles]
        self.role_rows = kept + [UserRole(role=role) for role in roles - self.roles]

    @property
    def muted_alerts(self) -> frozenset[Alert]:
        """The alerts that the owner does not get by mail."""
        return parse_alerts(self.muted)


class AccountToken(Base):
    """A mailed token that can still be used, as its SHA-256 alone, with the address that it was mailed to.

    The foreign key is checked at the commit: work for an address without an account is taken back (`taken_back`).
    """

    __tablename__ = "account_tokens"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"), index=True
    )
    kind: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    email: Mapped[str] = mapped_column(String(LONGEST_ADDRESS))
    mailbox: Mapped[str] = mapped_column(String(LONGEST_MAILBOX))
