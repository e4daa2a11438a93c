"""What is kept about a person, as one JSON document: each feature names its tables."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import LargeBinary, String, select

from app.core.clock import utc_now
from app.core.database.database import Base, Database, table_of
from app.core.services import Services

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    """Rows that are about a person: the name of their part of the document, and the table.

    `owner` is the column that names the person, or refers to a row whose `user_id` does. Every column is shown but
    that person, those of `without`, and bytes, which are hashes and sealed values; `show` reads more of a row. The rest
    of the primary key gives the order.
    """

    name: str
    table: type[Base]
    owner: str = "user_id"
    without: tuple[str, ...] = ()
    show: Callable[[Services, Any], dict[str, object]] = lambda _, __: {}

    @property
    def shown(self) -> list[str]:
        """The columns that are shown."""
        columns = table_of(self.table).columns
        refers = any("user_id" in key.column.table.c for key in columns[self.owner].foreign_keys)
        hidden = self.without if refers else (self.owner, *self.without)
        return [each.key for each in columns if each.key not in hidden and not isinstance(each.type, LargeBinary)]

    async def rows(self, services: Services, user_id: UUID) -> AsyncIterator[object]:
        """Yield what is kept about the user. No connection is held while the reader waits."""
        columns = table_of(self.table).columns
        owner = columns[self.owner]
        key = next((column for column in columns if column.primary_key and column is not owner), owner)
        whose = owner == (str(user_id) if isinstance(owner.type, String) else user_id)
        for reference in (each.column for each in owner.foreign_keys if "user_id" in each.column.table.c):
            whose = owner.in_(select(reference).where(reference.table.c.user_id == user_id))
        own = select(self.table).where(whose)
        statement, shown, more = own.order_by(key).limit(_BATCH), self.shown, True
        while more:
            async with services[Database].read() as db:
                found = (await db.scalars(statement)).all()
            for row in found:
                yield {name: getattr(row, name) for name in shown} | self.show(services, row)
            more = len(found) == _BATCH
            statement = statement.where(key > getattr(found[-1], key.key)) if more else statement


class DataExport:
    """Writes all that is kept about a person."""

    def __init__(self, services: Services, parts: Iterable[PersonalData]) -> None:
        self._services = services
        self.parts = tuple(parts)

    async def write(self, user_id: UUID) -> AsyncIterator[bytes]:
        """Yield the document in pieces: a list for each part. Cut short, it is no JSON."""
        yield b'{\n"exported_at": ' + _json(utc_now())
        for part in self.parts:
            yield b",\n" + _json(part.name) + b": ["
            separator = b"\n"
            async for row in part.rows(self._services, user_id):
                yield separator + _json(row)
                separator = b",\n"
            yield b"]"
        yield b"\n}\n"


def _json(value: object) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)  # an id of asyncpg's is of a class of its own
