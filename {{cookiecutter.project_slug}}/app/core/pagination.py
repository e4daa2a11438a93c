"""Lists in parts: a cursor names the last row that was given, so that inserts and deletions shift nothing.

A cursor is opaque and signed: a client can only hand back one that the same list gave, for the same search.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from fastapi import Query
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from app.core.crypto.keys import KeyRing, Purpose
from app.core.errors import Unprocessable


class CursorKey(Purpose):
    """Keys of cursors."""

    CURSOR = "cursor/v1"


DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items at most.")]
CursorText = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the part before.")]
SearchText = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="A text to search for, in any case; `%` is a percent sign."),
]

_SIGNATURE_BYTES = 32


class Listed(Protocol):
    """A row that a list orders by the time it was made."""

    @property
    def id(self) -> UUID:
        """Its identity, which decides between rows of the same time."""

    @property
    def created_at(self) -> datetime:
        """When it was made."""


Row = TypeVar("Row")
Column = InstrumentedAttribute[Any]


class Place(NamedTuple):
    """How a cursor names a row: written as text, and read back as the values of the columns that the list orders by."""

    write: Callable[[Any], str]
    read: Callable[[str], tuple[object, ...]]


def _write_time(row: Listed) -> str:
    return f"{row.created_at.isoformat()}|{row.id}"


def _read_time(text: str) -> tuple[object, ...]:
    time, identity = text.split("|")
    return datetime.fromisoformat(time), UUID(identity)


BY_TIME = Place(_write_time, _read_time)
"""For lists that are ordered by the time a row was made, then by its id."""


def by_number(number_of: Callable[[Any], int]) -> Place:
    """For lists that are ordered by a number that each row has alone."""
    return Place(lambda row: str(number_of(row)), lambda text: (int(text),))


class PageParams(NamedTuple):
    """Which part of a list is asked for; `search` is what narrows the list, and a cursor holds for the same alone."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    search: str | None = None


class Cursors:
    """Signs and reads the cursors of one list."""

    def __init__(self, keys: KeyRing, name: str, place: Place = BY_TIME) -> None:
        self._keys = keys.all(CursorKey.CURSOR)
        self._name = name.encode()
        self._place = place

    def select(self, statement: Select[Any], part: PageParams, order: tuple[Column, ...]) -> Select[Any]:
        """The statement for one part, newest first, with one row more than asked for to see whether there is a next."""
        if part.cursor is not None:
            statement = statement.where(tuple_(*order) < self._read(part.cursor, part.search))
        return statement.order_by(*(column.desc() for column in order)).limit(part.limit + 1)

    def page(self, rows: Sequence[Row], part: PageParams) -> tuple[Sequence[Row], str | None]:
        """The rows of the part and the cursor of the next one."""
        if len(rows) <= part.limit:
            return rows, None
        rows = rows[: part.limit]
        return rows, self._write(rows[-1], part.search)

    def _write(self, last: object, search: str | None) -> str:
        payload = self._place.write(last).encode()
        return _encode(self._sign(self._keys[0], payload, search) + payload)

    def _read(self, cursor: str, search: str | None) -> tuple[object, ...]:
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raw = b""
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        signed = any(hmac.compare_digest(self._sign(key, payload, search), signature) for key in self._keys)
        # The decoder passes over characters and bits that mean nothing: one cursor has one spelling.
        if not signed or _encode(raw) != cursor:
            raise Unprocessable("The cursor is not one that this list gave.")
        return self._place.read(payload.decode())

    def _sign(self, key: bytes, payload: bytes, search: str | None) -> bytes:
        # Of fixed length, so that nothing can pass from one part of the text into another.
        searched = hashlib.sha256(repr(search).encode()).digest()
        return hmac.digest(key, self._name + b"\0" + searched + payload, "sha256")


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
