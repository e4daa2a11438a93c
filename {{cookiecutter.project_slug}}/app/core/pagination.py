"""Cursor pagination: a sealed cursor names the last row of a page, so inserts and deletions shift nothing."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from app.core.crypto import KeyRing, Purpose, SealBrokenError, Sealer
from app.core.database.database import Database
from app.core.errors import Unprocessable

CURSOR_KEY = Purpose("cursor/v1")
DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items at most.")]
CursorText = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
SearchText = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="A text to search for, in any case; `%` is a percent sign."),
]

Row = TypeVar("Row")
Column = InstrumentedAttribute[Any]
Fields = Mapping[str, Callable[[str], object]]
"""The attributes of a row that a list is ordered by, and how to read each from its `str`."""

_BY_TIME: Fields = {"created_at": datetime.fromisoformat, "id": UUID}


class PageParams(NamedTuple):
    """Which page of a list the caller wants. `search` narrows the list; a cursor is valid for the same search alone."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    search: str | None = None
    ascending: bool = False


async def _page(limit: Limit = DEFAULT_LIMIT, cursor: CursorText = None) -> PageParams:
    return PageParams(limit, cursor)


QueryParams = Annotated[PageParams, Depends(_page)]
"""Which page the query of a request asks for, as a parameter of a handler."""


class Cursors:
    """Makes and reads the cursors of one list. The columns of `fetch` are those of `fields`, in their order."""

    def __init__(self, keys: KeyRing, name: str, fields: Fields = _BY_TIME) -> None:
        self._sealer = Sealer(keys, CURSOR_KEY)
        self._name = name
        self._fields = fields

    async def fetch(
        self, database: Database, statement: Select[Row], params: PageParams, order: tuple[Column, ...]
    ) -> tuple[list[Row], str | None]:
        """Fetch the rows of one page, newest first, and make the cursor of the next one."""
        if params.cursor is not None:
            last, columns = self._read(params.cursor, params.search), tuple_(*order)
            statement = statement.where(columns > last if params.ascending else columns < last)
        # One row more shows whether there is a next page.
        ordered = (column.asc() if params.ascending else column.desc() for column in order)
        statement = statement.order_by(*ordered).limit(params.limit + 1)
        async with database.read() as db:
            rows = list(await db.scalars(statement))
        if len(rows) <= params.limit:
            return rows, None
        rows = rows[: params.limit]
        payload = "|".join(str(getattr(rows[-1], field)) for field in self._fields).encode()
        return rows, _encode(self._sealer.seal(payload, identity=self._place(params.search)))

    def _read(self, cursor: str, search: str | None) -> tuple[object, ...]:
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            payload = self._sealer.open(raw, identity=self._place(search))
        except (ValueError, SealBrokenError):
            raw = payload = b""
        # The decoder ignores some characters and bits: a cursor has one spelling.
        if not payload or _encode(raw) != cursor:
            raise Unprocessable("The cursor is not one that this list gave.")
        texts = payload.decode().rsplit("|", len(self._fields) - 1)
        return tuple(read(text) for read, text in zip(self._fields.values(), texts, strict=True))

    def _place(self, search: str | None) -> bytes:
        return f"{self._name}|{search!r}".encode()


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
