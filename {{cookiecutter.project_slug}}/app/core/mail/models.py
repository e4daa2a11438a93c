"""The table of the outbox. The mail itself is sealed; the other columns hold nothing personal."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base


class MailStatus(StrEnum):
    """The state of a mail."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class OutboxMail(Base):
    """A mail that waits, was delivered, or has failed.

    `sealed` holds recipient, subject and bodies until `finished_at`. `due_at` is when a process may claim the mail:
    while one delivers it, the end of its lease. `error` (an exception's name) and `smtp_code` are of the last attempt.
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


def finished(before: datetime) -> ColumnElement[bool]:
    """Make the condition on mails that were delivered or have failed before a time."""
    return OutboxMail.finished_at < before
