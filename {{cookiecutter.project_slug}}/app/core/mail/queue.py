"""The queue of mail in the outbox: a process claims a mail, delivers it, and records the outcome.

A claim is a lease: it is committed before the delivery begins, and it ends by itself if its process dies. A process
that has lost its claim changes nothing any more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, func, select, update

from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.mail.models import MailStatus, OutboxMail


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail that this process delivers until its lease ends; `attempts` counts this one."""

    id: UUID
    claim: UUID
    created_at: datetime
    attempts: int
    sealed: bytes


@dataclass(frozen=True, slots=True)
class MailStanding:
    """How many mails wait, when the oldest was added, and how many failed and are not purged yet."""

    waiting: int
    oldest: datetime | None
    failed: int


class MailQueue:
    """The mail that waits, oldest first."""

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease = timedelta(seconds=lease_seconds)

    async def claim(self) -> ClaimedMail | None:
        """Claim the mail that has been due for longest; return None if none is due."""
        async with self._database.read() as db:  # most of the time nothing is due, and that takes no lock
            if await db.scalar(select(OutboxMail.id).where(_due(utc_now())).limit(1)) is None:
                return None
        async with self._database.transaction() as db:
            now = utc_now()
            longest_due = select(OutboxMail).where(_due(now)).order_by(OutboxMail.due_at).limit(1)
            row = await db.scalar(longest_due.with_for_update(skip_locked=True))
            if row is None:
                return None
            claim = uuid4()
            row.claim, row.due_at, row.attempts = claim, now + self._lease, row.attempts + 1
            return ClaimedMail(row.id, claim, row.created_at, row.attempts, row.sealed or b"")

    async def standing(self) -> MailStanding:
        """Count the mails that wait and that failed."""
        counted = select(OutboxMail.status, func.count(), func.min(OutboxMail.created_at)).group_by(OutboxMail.status)
        async with self._database.read() as db:
            rows = (await db.execute(counted.where(OutboxMail.status != MailStatus.SENT))).all()
        found = {status: (count, oldest) for status, count, oldest in rows}
        waiting, oldest = found.get(MailStatus.QUEUED, (0, None))
        return MailStanding(waiting, oldest, found.get(MailStatus.FAILED, (0, None))[0])

    async def sent(self, mail: ClaimedMail) -> None:
        """Record that it was delivered, and empty it."""
        await self._finish(mail, MailStatus.SENT, None, None)

    async def failed(self, mail: ClaimedMail, error: str, code: int | None) -> None:
        """Record that it cannot be delivered, and why, and empty it."""
        await self._finish(mail, MailStatus.FAILED, error, code)

    async def postponed(self, mail: ClaimedMail, error: str, code: int | None, seconds: float) -> None:
        """Have it tried again after some time."""
        await self._settle(mail, due_at=utc_now() + timedelta(seconds=seconds), error=error, smtp_code=code)

    async def released(self, mail: ClaimedMail) -> None:
        """Have it tried again at once, by any process: its delivery was cut off."""
        await self._settle(mail, due_at=utc_now())

    async def _finish(self, mail: ClaimedMail, status: MailStatus, error: str | None, code: int | None) -> None:
        await self._settle(mail, status=status, sealed=None, finished_at=utc_now(), error=error, smtp_code=code)

    async def _settle(self, mail: ClaimedMail, **values: Any) -> None:
        mine = and_(OutboxMail.id == mail.id, OutboxMail.claim == mail.claim)
        async with self._database.transaction() as db:
            await db.execute(update(OutboxMail).where(mine).values(claim=None, **values))


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(OutboxMail.status == MailStatus.QUEUED, OutboxMail.due_at <= now)
