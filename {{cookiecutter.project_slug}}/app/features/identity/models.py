"""The table of the identities."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base

LONGEST_SUBJECT = 255
"""OpenID Connect Core section 2."""


class Identity(Base):
    """Somebody whom an issuer knows by `subject`, and who signs in to an account as that. No address is part of it."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(LONGEST_SUBJECT))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
