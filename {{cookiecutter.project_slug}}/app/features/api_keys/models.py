"""The table of the API keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base


class ApiKey(Base):
    """A key of a user: its SHA-256, sealed to the row, and its last four characters, which are of the checksum.

    `scope` and `networks` are separated by spaces. One that was replaced expires soon after. A `per_minute` of None is
    `RATE_LIMIT_DEFAULT`. `made_by` gets the mails: for a service account an administrator; None, or deleted: the owner.
    """

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    sealed: Mapped[bytes] = mapped_column(LargeBinary(64))
    last_four: Mapped[str] = mapped_column(String(4))
    scope: Mapped[str] = mapped_column(String(2000))
    networks: Mapped[str] = mapped_column(String(1000))
    per_minute: Mapped[int | None]
    made_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    replaced_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    last_used_ip: Mapped[str | None] = mapped_column(String(45))
