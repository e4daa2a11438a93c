"""The chains: what makes a change of the audit trail visible. Each shard has one.

    digest(n) = SHA-256(label, digest(n - 1), row n)        mac(n) = HMAC-SHA-256(key, label, digest(n))

A MAC confirms its row and all before it in its shard. The hash needs no key: rows whose key is gone are still tied to
the first row that a later key confirms. The head of a shard holds its last place and digest under its own MAC, so that
rows cannot be cut off the end. An older head and the rows up to it are genuine: what shows that they were put back are
the rows of the other shards, for they name and hash the newest row that their writer saw.
"""

import hashlib
import hmac
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import orjson

from app.core.crypto import KeyRing, Purpose, key_id
from app.features.audit.models import SHARDS

TRAIL_KEY = Purpose("audit/v1")
FIRST_DIGEST = bytes(32)
LARGEST = 2**63 - 1

_ROW = b"audit row\0"


class End(NamedTuple):
    """The place of a row in its shard, and its digest, which ties all rows up to it. Before the first row, it is 0."""

    place: int = 0
    digest: bytes = FIRST_DIGEST

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` writes; raises `ValueError`."""
        place, _, digest = text.partition("/")
        end = cls(int(place), bytes.fromhex(digest)) if text else cls()
        if text and (not 1 <= end.place <= LARGEST or len(end.digest) != len(FIRST_DIGEST)):
            raise ValueError("no anchor")
        return end

    def __str__(self) -> str:
        """Write `N/HASH`, or nothing before the first row."""
        return f"{self.place}/{self.digest.hex()}" if self.place else ""


class Anchor(NamedTuple):
    """A row of each shard, which tie all rows up to them. `through` is the highest number of them, where it is known.

    An administrator keeps one where whoever can write to the database cannot: a verification compares it.
    """

    ends: tuple[End, ...] = (End(),) * SHARDS
    through: int = 0

    @property
    def rows(self) -> int:
        """How many rows there are up to it."""
        return sum(end.place for end in self.ends)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` writes; raises `ValueError`."""
        ends = [End.parse(part) for part in text.split(",")]
        if len(ends) > SHARDS or not any(end.place for end in ends):
            raise ValueError("no anchor")
        return cls((*ends, *cls().ends[len(ends) :]))

    def __str__(self) -> str:
        """Write `N/HASH,N/HASH,…`: a part for each shard, without empty ones at the end."""
        return ",".join(map(str, self.ends)).rstrip(",")

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read `fields` as JSON, also of when there were no shards; raises `ValueError`, `KeyError` or `TypeError`."""
        fields = orjson.loads(text)
        ends = fields["ends"] if "ends" in fields else f"{fields['through']}/{fields['digest']}"
        anchor = cls.parse(ends) if int(fields["through"]) else cls()
        return anchor._replace(through=int(fields["through"]))

    def fields(self) -> dict[str, int | str]:
        """Return what JSON can hold of it."""
        return {"through": self.through, "ends": str(self)}


class Head(NamedTuple):
    """Where a shard ends. Before its first row, `place` is 0 and `key_id` is empty."""

    place: int
    digest: bytes
    key_id: bytes
    mac: bytes

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has been written yet."""
        return self.place == 0 and not self.key_id


class ChainKeys:
    """Makes MACs with the current key, and confirms those of every key of the ring."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = {key_id(key): key for key in keys.all(TRAIL_KEY)}
        self.current_id = next(iter(self._keys))

    def following(self, head: Head | None) -> Self:
        """Return the same keys, but make MACs with the key of the head if it is in the ring."""
        other = copy(self)
        if head is not None and self.knows(head.key_id):
            other.current_id = head.key_id
        return other

    def knows(self, name: bytes) -> bool:
        """Return whether the key of that name is in the ring."""
        return name in self._keys

    def row_mac(self, digest: bytes) -> bytes:
        """Return the MAC of a row, made with the current key."""
        return self._mac(self.current_id, _ROW + digest)

    def confirms_row(self, row: Mapping[str, Any]) -> bool:
        """Return whether the MAC of a row is right; false if its key is not known."""
        return self._confirms(row["key_id"], _ROW + row["digest"], row["mac"])

    def head(self, place: int, digest: bytes) -> Head:
        """Return the head after a row."""
        return Head(place, digest, self.current_id, self._mac(self.current_id, _end(place, digest)))

    def confirms_head(self, head: Head) -> bool:
        """Return whether the MAC of the head is right; false if its key is not known."""
        return self._confirms(head.key_id, _end(head.place, head.digest), head.mac)

    def _confirms(self, name: bytes, content: bytes, mac: bytes) -> bool:
        return name in self._keys and hmac.compare_digest(self._mac(name, content), mac)

    def _mac(self, name: bytes, content: bytes) -> bytes:
        return hmac.digest(self._keys[name], content, "sha256")


def position_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """Return shard and place of a row; raises `KeyError` if it says neither."""
    if row.get("shard") is None and row.get("place") is None:
        return 1, row["sequence"]
    return row["shard"], row["place"]


def digest_of(previous: bytes, row: Mapping[str, Any]) -> bytes:
    """Return the digest of a row that follows one with the digest `previous`."""
    # Sorted, so that every database gives the same. Without nulls, so that a nullable column can be added later.
    hashed = plain_row({name: value for name, value in row.items() if name not in {"digest", "mac"}})
    return hashlib.sha256(_ROW + previous + orjson.dumps(hashed, option=orjson.OPT_SORT_KEYS)).digest()


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that are not null, as JSON can hold them; `digest_of` gives the same for them."""
    return {name: _plain(value) for name, value in row.items() if value is not None}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int) else str(value)


def _end(place: int, digest: bytes) -> bytes:
    # Of which shard, the digest says: each row up to it holds its shard.
    return b"audit head\0%d\0%b" % (place, digest)
