"""What was read from SQLite, kept until a commit of any process; PostgreSQL does not tell of them: nothing is kept."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from app.core.database.database import Database

_MOST_KEPT = 2048

Value = TypeVar("Value")


class ReadCache(Generic[Value]):
    """Values by key, all read at the same version of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version: int | None = None
        self._values: dict[Hashable, Value] = {}

    def find(self, key: Hashable) -> tuple[int | None, Value | None]:
        """Return the version of the database, which `keep` takes, and the value if it was read at this version."""
        version = self._database.version()
        if version is None or version != self._version or len(self._values) >= _MOST_KEPT:
            self._version, self._values = version, {}
        return version, self._values.get(key)

    def keep(self, version: int | None, key: Hashable, value: Value) -> None:
        """Keep a value that was read after `find` had returned the version; a later version forgets it."""
        if version is not None and version == self._version:
            self._values[key] = value
