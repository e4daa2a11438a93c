"""The tables of the identities, and of the sessions that they opened."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base
from app.features.identity.logout_token import LONGEST_CLAIM


class Identity(Base):
    """Somebody whom an issuer knows by `subject`, and who signs in to an account as that. No address is part of it."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(LONGEST_CLAIM))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class IdentitySession(Base):
    """A session that an identity opened, which the provider calls `sid`; or a challenge, until it is answered."""

    __tablename__ = "identity_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    identity_id: Mapped[UUID] = mapped_column(ForeignKey("identities.id", ondelete="CASCADE"), index=True)
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    challenge_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    sid: Mapped[str | None] = mapped_column(String(LONGEST_CLAIM), index=True)
    created_at: Mapped[datetime]


def never_answered(_: object, before: datetime) -> ColumnElement[bool]:
    """Make the condition on challenges from before a time: all of them have ended."""
    return IdentitySession.session_id.is_(None) & (IdentitySession.created_at < before)
