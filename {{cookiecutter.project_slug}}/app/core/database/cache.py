"""What was read from the database, kept until it changes, whichever process changes it."""

from collections.abc import Hashable
from time import monotonic
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import BigInteger, Column, Table, Uuid

from app.core.database.database import Base, Database
from app.core.database.lease import CHANGED

_MOST_KEPT = 2048
# Somebody may have switched the triggers of PostgreSQL off, as `pg_restore --disable-triggers` does.
_LONGEST_SECONDS = 5

# Triggers fill it on PostgreSQL; on SQLite it stays empty.
Table(CHANGED, Base.metadata, Column("xid", BigInteger, primary_key=True), Column("user_id", Uuid, primary_key=True))

Value = TypeVar("Value")


class ReadCache(Generic[Value]):
    """Values by key, each with the user of whose session, account and roles it is made."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._values: dict[Hashable, tuple[int, UUID, float, Value]] = {}

    def find(self, key: Hashable) -> tuple[int | None, Value | None]:
        """Return the version of the database, which `keep` takes, and the value if it is as it was read."""
        version = self._database.version()
        if version is not None and (kept := self._values.get(key)):
            then, owner, since, value = kept
            if monotonic() - since <= _LONGEST_SECONDS and self._database.unchanged(then, version, owner):
                return version, value
        return version, None

    def keep(self, version: int | None, key: Hashable, owner: UUID, value: Value) -> None:
        """Keep a value that was read after `find` had returned the version."""
        if version is None:
            return
        self._values.pop(key, None)
        while len(self._values) >= _MOST_KEPT:
            del self._values[next(iter(self._values))]
        self._values[key] = (version, owner, monotonic(), value)
