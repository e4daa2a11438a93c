"""The API keys: `ak_`, then in hexadecimal the id of the row, 256 random bits, and the CRC-32 of both; and their table.

Scanners find them by their form, and tell by the checksum, without asking anybody, that a find is no accident.
"""

import re
import secrets
from datetime import datetime
from uuid import UUID
from zlib import crc32

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base

PREFIX = "ak_"
_SHAPE = re.compile(rf"{PREFIX}[0-9a-f]{{104}}", re.ASCII)


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


def new_key(key_id: UUID) -> str:
    """Make the key of a row."""
    body = key_id.bytes + secrets.token_bytes(32)
    return PREFIX + (body + crc32(body).to_bytes(4, "big")).hex()


def id_in(key: str) -> UUID | None:
    """Return the id that a key names; None if its form or its checksum is not that of a key."""
    raw = bytes.fromhex(key[len(PREFIX) :]) if _SHAPE.fullmatch(key) else b""
    return UUID(bytes=raw[:16]) if raw and crc32(raw[:-4]) == int.from_bytes(raw[-4:], "big") else None
