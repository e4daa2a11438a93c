"""The chain: what makes a change of the audit trail visible.

    digest(n) = SHA-256(label, digest(n - 1), row n)        mac(n) = HMAC-SHA-256(key, label, digest(n))

A MAC confirms its row and all before it. The hash needs no key: rows whose key is gone are still tied to the first row
that a later key confirms. The head holds the last number and digest under a MAC of its own, so that rows cannot be cut
off the end.
"""

import hashlib
import hmac
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import orjson

from app.core.crypto.keys import KeyRing, Purpose, key_id


class TrailKey(Purpose):
    """Keys of the audit trail."""

    AUDIT = "audit/v1"


FIRST_DIGEST = bytes(32)

_ROW = b"audit row\0"
_HEAD = b"audit head\0"
_NOT_HASHED = frozenset({"digest", "mac"})


class Head(NamedTuple):
    """Where the trail ends. Before the first row, `sequence` is 0 and `key_id` is empty."""

    sequence: int
    digest: bytes
    key_id: bytes
    mac: bytes

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has been written yet."""
        return self.sequence == 0 and not self.key_id


class ChainKeys:
    """Makes MACs with the current key, and confirms those of every key of the ring."""

    def __init__(self, keys: KeyRing) -> None:
        self.current_id = key_id(keys.current(TrailKey.AUDIT))
        self._keys = {key_id(key): key for key in keys.all(TrailKey.AUDIT)}

    def following(self, head: Head | None) -> Self:
        """The same, but making MACs with the key of the head, where it is in the ring."""
        other = copy(self)
        if head is not None and self.knows(head.key_id):
            other.current_id = head.key_id
        return other

    def knows(self, name: bytes) -> bool:
        """Whether the key of that name is in the ring."""
        return name in self._keys

    def row_mac(self, digest: bytes) -> bytes:
        """The MAC of a row."""
        return self._mac(self.current_id, _ROW + digest)

    def confirms_row(self, row: Mapping[str, Any]) -> bool:
        """Whether the MAC of a row is right; False where its key is not known."""
        return self._confirms(row["key_id"], _ROW + row["digest"], row["mac"])

    def head(self, sequence: int, digest: bytes) -> Head:
        """The head after a row."""
        return Head(sequence, digest, self.current_id, self._mac(self.current_id, _place(sequence, digest)))

    def confirms_head(self, head: Head) -> bool:
        """Whether the MAC of the head is right; False where its key is not known."""
        return self._confirms(head.key_id, _place(head.sequence, head.digest), head.mac)

    def _confirms(self, name: bytes, content: bytes, mac: bytes) -> bool:
        return name in self._keys and hmac.compare_digest(self._mac(name, content), mac)

    def _mac(self, name: bytes, content: bytes) -> bytes:
        return hmac.digest(self._keys[name], content, "sha256")


def digest_of(previous: bytes, row: Mapping[str, Any]) -> bytes:
    """The digest of a row behind another."""
    return hashlib.sha256(_ROW + previous + _canonical(row)).digest()


def _canonical(row: Mapping[str, Any]) -> bytes:
    """All columns as JSON with sorted names, the same on every database. What is null is left out.

    So a column that is added later, and may be null, leaves the digests of older rows as they are.
    """
    hashed = plain_row({name: value for name, value in row.items() if name not in _NOT_HASHED})
    return orjson.dumps(hashed, option=orjson.OPT_SORT_KEYS)


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that are not null, as JSON can hold them; what `digest_of` makes of it is the same."""
    return {name: _plain(value) for name, value in row.items() if value is not None}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int) else str(value)


def _place(sequence: int, digest: bytes) -> bytes:
    return b"%b%d\0%b" % (_HEAD, sequence, digest)
