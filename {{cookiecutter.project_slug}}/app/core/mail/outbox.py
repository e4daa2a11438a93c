"""The outbox: mail is added in the transaction of its cause, and delivered afterwards by `delivery.py`.

Delivery is at-least-once. A mail holds one-time tokens and personal data: its row is sealed, bound to its id, and
emptied when it was delivered or has finally failed (ASVS 14.2.4, 14.2.7).

A process claims a mail, delivers it, and records the outcome. A claim is a lease: it is committed before the delivery
begins, and it ends by itself if its process dies. A process that has lost its claim changes nothing any more.
"""

import asyncio
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

import orjson
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import ColumnElement, Connection, Index, LargeBinary, String, and_, event, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import utc_now
from app.core.crypto import KeyRing, Purpose, Sealer
from app.core.database.batches import reseal_rows
from app.core.database.database import Base, Database
from app.core.email_address import LONGEST_ADDRESS
from app.core.schemas import TextWithMore


class OutboxMail(Base):
    """A mail that waits, was delivered, or has failed.

    Until `finished_at`, `sealed` holds recipient, subject and bodies, and `user_id` is the account that it is about.
    `due_at` is when a process may claim it, or the end of a lease; `error` and `smtp_code` are of the last attempt.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_status_due_at", "status", "due_at"),
        Index("ix_outbox_finished_at", "finished_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime]
    status: Mapped[Literal["queued", "sent", "failed"]] = mapped_column(String(16))
    attempts: Mapped[int]
    due_at: Mapped[datetime]
    claim: Mapped[UUID | None]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    kind: Mapped[str | None] = mapped_column(String(64))
    user_id: Mapped[UUID | None] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(64))
    smtp_code: Mapped[int | None]


MAIL_KEY = Purpose("mail/v1")
LONGEST_SUBJECT = 300
LONGEST_BODY = 256 * 1024

_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True, repr=False)
class Mail:
    """A mail to one address, as text and HTML; raises `ValueError` if it cannot be sent. No `repr`: it holds tokens."""

    to: str
    subject: str
    text: str
    html: str

    def __post_init__(self) -> None:
        """Refuse what could become another header, or another recipient (ASVS 1.3.11)."""
        recipient(self.to)
        unprintable = not _UNPRINTABLE.isdisjoint(map(unicodedata.category, self.subject))
        if not self.subject.strip() or len(self.subject) > LONGEST_SUBJECT or unprintable:
            raise ValueError("the subject is not one line of text")
        for body in (self.text, self.html):
            if not body or len(body.encode()) > LONGEST_BODY:
                raise ValueError("a body is empty or too long")


def recipient(address: str) -> str:
    """Return the address as servers take it (RFC 6531), its domain in ASCII; raises `ValueError` unless it is one."""
    try:
        parsed = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        parsed = None
    if parsed is None or len(address) > LONGEST_ADDRESS:
        # Not in the handler: the exception in the chain would repeat the address.
        raise ValueError("the recipient is not one e-mail address")
    return f"{parsed.local_part}@{parsed.ascii_domain}"


class MailTemplate(TextWithMore):
    """The name of the templates of a mail, its subject, and what its templates need. A feature declares its own."""

    def __init__(self, _: str, subject: str, *needs: str) -> None:
        self.subject, self.needs = subject, needs


class MailFolders(dict[Path, Iterable[MailTemplate]]):
    """The folders of templates, each with its mails; of two templates with one name, that of the later folder holds."""


class Outbox:
    """Where mail waits for its delivery. `added` is set whenever this process has committed a new one."""

    def __init__(self, keys: KeyRing) -> None:
        self._sealer = Sealer(keys, MAIL_KEY)
        self.added = asyncio.Event()

    async def add(self, db: AsyncSession, mail: Mail, **about: str | UUID | None) -> None:
        """Add a mail in the caller's transaction: it is sent if that commits, and only then. `about`: as for `put`."""
        await (await db.connection()).run_sync(self.put, mail, **about)
        self.announce(db)

    def put(self, connection: Connection, /, mail: Mail, **about: str | UUID | None) -> None:
        """Add a mail with its `kind` and `user_id`, without an ORM session; the caller sets `added` afterwards."""
        now, mail_id = utc_now(), uuid4()
        sealed = self._sealer.seal(orjson.dumps(mail), identity=_place(mail_id))
        row = {"id": mail_id, "created_at": now, "status": "queued", "attempts": 0, "due_at": now}
        connection.execute(insert(OutboxMail), row | {"sealed": sealed, **about})

    def announce(self, db: AsyncSession) -> None:
        """Set `added` once the transaction is committed."""
        event.listen(db.sync_session, "after_commit", lambda _: self.added.set())

    def open(self, mail_id: UUID, sealed: bytes) -> Mail:
        """Read the mail of a row; raises `SealBrokenError`."""
        return Mail(**orjson.loads(self._sealer.open(sealed, identity=_place(mail_id))))

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` rows anew that another key than the current one sealed; return how many, 0 for none."""
        # Locked, so that no delivery empties one meanwhile.
        return await reseal_rows(db, OutboxMail, self._sealer, lambda row: _place(row.id), limit)


def _place(mail_id: UUID) -> bytes:
    return f"outbox/{mail_id}/sealed".encode()


class MailStanding(NamedTuple):
    """How many mails wait, when the oldest was added, and how many failed and are not purged yet."""

    waiting: int
    oldest: datetime | None
    failed: int


class MailQueue:
    """The mail that waits, oldest first."""

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease = timedelta(seconds=lease_seconds)

    async def claim(self) -> OutboxMail | None:
        """Claim the mail that has been due for longest until a lease ends; return None if none is due."""
        async with self._database.read() as db:  # most of the time nothing is due, and that takes no lock
            if await db.scalar(select(OutboxMail.id).where(_due(utc_now())).limit(1)) is None:
                return None
        async with self._database.transaction() as db:
            now = utc_now()
            longest_due = select(OutboxMail).where(_due(now)).order_by(OutboxMail.due_at).limit(1)
            row = await db.scalar(longest_due.with_for_update(skip_locked=True))
            if row is None:
                return None
            row.claim, row.due_at, row.attempts = uuid4(), now + self._lease, row.attempts + 1
            return row

    async def standing(self) -> MailStanding:
        """Count the mails that wait and that failed."""
        counted = select(OutboxMail.status, func.count(), func.min(OutboxMail.created_at)).group_by(OutboxMail.status)
        async with self._database.read() as db:
            rows = (await db.execute(counted.where(OutboxMail.status != "sent"))).all()
        found = {status: (count, oldest) for status, count, oldest in rows}
        waiting, oldest = found.get("queued", (0, None))
        return MailStanding(waiting, oldest, found.get("failed", (0, None))[0])

    async def finish(self, mail: OutboxMail, error: str | None = None, code: int | None = None) -> None:
        """Record that it was delivered, or the error for which it cannot be, and empty it."""
        over = {"status": "failed" if error else "sent", "sealed": None, "user_id": None, "finished_at": utc_now()}
        await self._settle(mail, error=error, smtp_code=code, **over)

    async def postponed(self, mail: OutboxMail, error: str, code: int | None, seconds: float, *, counts: bool) -> None:
        """Have it tried again after some time; `counts` is whether this was one of its attempts."""
        due, attempts = utc_now() + timedelta(seconds=seconds), mail.attempts - (not counts)
        await self._settle(mail, due_at=due, attempts=attempts, error=error, smtp_code=code)

    async def released(self, mail: OutboxMail) -> None:
        """Have it tried again at once, by any process: its delivery was cut off."""
        await self._settle(mail, due_at=utc_now())

    async def _settle(self, mail: OutboxMail, **values: Any) -> None:
        mine = and_(OutboxMail.id == mail.id, OutboxMail.claim == mail.claim)
        async with self._database.transaction() as db:
            await db.execute(update(OutboxMail).where(mine).values(claim=None, **values))


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(OutboxMail.status == "queued", OutboxMail.due_at <= now)
