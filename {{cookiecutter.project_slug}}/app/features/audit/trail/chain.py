"""The chain: what makes a change of the audit trail visible.

    digest(n) = SHA-256(label, digest(n - 1), row n)        mac(n) = HMAC-SHA-256(key, label, digest(n))

A MAC confirms its row and all before it. The hash needs no key: rows whose key is gone are still tied to the first row
that a later key confirms. The head holds the last number and digest under its own MAC, so that rows cannot be cut off
the end.
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
_LARGEST = 2**63 - 1


class Anchor(NamedTuple):
    """A row and its digest, which tie all rows up to it. Before the first row, the number is 0.

    An administrator keeps one where whoever can write to the database cannot: a verification compares it.
    """

    sequence: int = 0
    digest: bytes = FIRST_DIGEST

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `N/HASH`, as `str` writes it; raises `ValueError`."""
        sequence, _, digest = text.partition("/")
        anchor = cls(int(sequence), bytes.fromhex(digest))
        if not 1 <= anchor.sequence <= _LARGEST or len(anchor.digest) != len(FIRST_DIGEST):
            raise ValueError("no anchor")
        return anchor

    def __str__(self) -> str:
        """Write `N/HASH`."""
        return f"{self.sequence}/{self.digest.hex()}"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read `fields` as JSON; raises `ValueError`, `KeyError` or `TypeError`."""
        fields = orjson.loads(text)
        return cls(int(fields["through"]), bytes.fromhex(fields["digest"]))

    def fields(self) -> dict[str, int | str]:
        """Return what JSON can hold of it."""
        return {"through": self.sequence, "digest": self.digest.hex()}


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
        """Return the same keys, but make MACs with the key of the head if it is in the ring."""
        other = copy(self)
        if head is not None and self.knows(head.key_id):
            other.current_id = head.key_id
        return other

    def knows(self, name: bytes) -> bool:
        """Whether the key of that name is in the ring."""
        return name in self._keys

    def row_mac(self, digest: bytes) -> bytes:
        """Return the MAC of a row, made with the current key."""
        return self._mac(self.current_id, _ROW + digest)

    def confirms_row(self, row: Mapping[str, Any]) -> bool:
        """Whether the MAC of a row is right; false if its key is not known."""
        return self._confirms(row["key_id"], _ROW + row["digest"], row["mac"])

    def head(self, sequence: int, digest: bytes) -> Head:
        """Return the head after a row."""
        return Head(sequence, digest, self.current_id, self._mac(self.current_id, _place(sequence, digest)))

    def confirms_head(self, head: Head) -> bool:
        """Whether the MAC of the head is right; false if its key is not known."""
        return self._confirms(head.key_id, _place(head.sequence, head.digest), head.mac)

    def _confirms(self, name: bytes, content: bytes, mac: bytes) -> bool:
        return name in self._keys and hmac.compare_digest(self._mac(name, content), mac)

    def _mac(self, name: bytes, content: bytes) -> bytes:
        return hmac.digest(self._keys[name], content, "sha256")


def digest_of(previous: bytes, row: Mapping[str, Any]) -> bytes:
    """Return the digest of a row that follows one with the digest `previous`."""
    return hashlib.sha256(_ROW + previous + _canonical(row)).digest()


def _canonical(row: Mapping[str, Any]) -> bytes:
    # Sorted, so that every database gives the same. Without nulls, so that a nullable column can be added later.
    hashed = plain_row({name: value for name, value in row.items() if name not in _NOT_HASHED})
    return orjson.dumps(hashed, option=orjson.OPT_SORT_KEYS)


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that are not null, as JSON can hold them; `digest_of` gives the same for them."""
    return {name: _plain(value) for name, value in row.items() if value is not None}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int) else str(value)


def _place(sequence: int, digest: bytes) -> bytes:
    return b"%b%d\0%b" % (_HEAD, sequence, digest)
