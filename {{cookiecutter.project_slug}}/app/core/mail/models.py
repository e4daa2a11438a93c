"""The table of the outbox. What a row says in the open is nothing personal; the mail itself is sealed."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base


class MailStatus(StrEnum):
    """Where a mail stands."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class OutboxMail(Base):
    """A mail that is to be delivered, or that it was, or that it could not be.

    `sealed` holds recipient, subject and bodies until `finished_at`, then nothing. `due_at` is when a process may take
    the mail: while one delivers it, the end of its lease. `claim` is that process's proof that it is still the one.
    `error` and `smtp_code` are about the last attempt: the name of an exception and the server's answer as a number.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_status_due_at", "status", "due_at"),
        Index("ix_outbox_finished_at", "finished_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    due_at: Mapped[datetime]
    claim: Mapped[UUID | None]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(64))
    smtp_code: Mapped[int | None]
