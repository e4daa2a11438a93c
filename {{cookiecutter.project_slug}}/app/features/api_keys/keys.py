"""The keys: `ak_`, then in hexadecimal the id of the row, 256 random bits, and the CRC-32 of both.

Scanners find them by their form, and tell by the checksum, without asking anybody, that a find is no accident.
"""

import re
import secrets
from uuid import UUID
from zlib import crc32

from app.core.crypto import Purpose

PREFIX = "ak_"
_SHAPE = re.compile(rf"{PREFIX}[0-9a-f]{{104}}", re.ASCII)


API_KEY_SEAL = Purpose("api-key/v1")


def new_key(key_id: UUID) -> str:
    """Make the key of a row."""
    body = key_id.bytes + secrets.token_bytes(32)
    return PREFIX + (body + crc32(body).to_bytes(4, "big")).hex()


def id_in(key: str) -> UUID | None:
    """Return the id that a key names; None if its form or its checksum is not that of a key."""
    raw = bytes.fromhex(key[len(PREFIX) :]) if _SHAPE.fullmatch(key) else b""
    return UUID(bytes=raw[:16]) if raw and crc32(raw[:-4]) == int.from_bytes(raw[-4:], "big") else None
