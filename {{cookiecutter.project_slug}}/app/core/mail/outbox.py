"""The outbox: mail is added in the transaction of its cause, and delivered afterwards by `delivery.py`.

Delivery is at-least-once. A mail holds one-time tokens and personal data: its row is sealed, bound to its id, and
emptied when it was delivered or has finally failed (ASVS 14.2.4, 14.2.7).
"""

import asyncio
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

import orjson
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import Connection, LargeBinary, event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.crypto import KeyRing, Purpose, SealBrokenError, Sealer
from app.core.mail.models import MailStatus, OutboxMail


class MailKey(Purpose):
    """Keys of mail in the outbox."""

    MAIL = "mail/v1"


LONGEST_ADDRESS = 254
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


class Outbox:
    """Where mail waits for its delivery. `added` is set whenever this process has committed a new one."""

    def __init__(self, keys: KeyRing) -> None:
        self._sealer = Sealer(keys, MailKey.MAIL)
        self.added = asyncio.Event()

    async def add(self, db: AsyncSession, mail: Mail) -> None:
        """Add a mail in the caller's transaction: it is sent if that commits, and only then."""
        await (await db.connection()).run_sync(self.put, mail)
        self.announce(db)

    def put(self, connection: Connection, mail: Mail) -> None:
        """Add a mail in a transaction that has no ORM session; the caller sets `added` after the commit."""
        now, mail_id = utc_now(), uuid4()
        content = {"to": mail.to, "subject": mail.subject, "text": mail.text, "html": mail.html}
        sealed = self._sealer.seal(orjson.dumps(content), identity=_place(mail_id))
        row = {"id": mail_id, "created_at": now, "status": MailStatus.QUEUED, "attempts": 0, "due_at": now}
        connection.execute(insert(OutboxMail), row | {"sealed": sealed})

    def announce(self, db: AsyncSession) -> None:
        """Set `added` once the transaction is committed."""
        event.listen(db.sync_session, "after_commit", lambda _: self.added.set())

    def open(self, mail_id: UUID, sealed: bytes) -> Mail:
        """Read the mail of a row; raises `SealBrokenError`."""
        return Mail(**orjson.loads(self._sealer.open(sealed, identity=_place(mail_id))))

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` rows anew that another key than the current one sealed; return how many, 0 for none."""
        key_id = func.substr(OutboxMail.sealed, 1, len(self._sealer.key_id), type_=LargeBinary)
        # Locked, so that no delivery empties one meanwhile.
        stale = select(OutboxMail).where(OutboxMail.sealed.is_not(None), key_id != self._sealer.key_id)
        stale = stale.order_by(OutboxMail.id).limit(limit).with_for_update()
        resealed, after = 0, UUID(int=0)
        while not resealed and (rows := (await db.scalars(stale.where(OutboxMail.id > after))).all()):
            for row in rows:
                with suppress(SealBrokenError):  # no key of the ring opens it: the key may come back
                    place = _place(row.id)
                    row.sealed = self._sealer.seal(self._sealer.open(row.sealed or b"", identity=place), identity=place)
                    resealed += 1
            after = rows[-1].id
        return resealed


def _place(mail_id: UUID) -> bytes:
    return f"outbox/{mail_id}/sealed".encode()
