"""Archiving: the oldest rows move to a file, and the chain goes on from there.

A file holds one JSON object on each line: where the chain stood before it, then the rows as they were hashed. In the
trail, a row `audit_archived` names the last one and its digest. It confirms the file, and `Verification` begins behind
it: rows that are gone without such a row are missing.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, delete, func, select, text

from app.core.database.database import table_of
from app.features.audit.append import lock_head
from app.features.audit.chain import FIRST_DIGEST, digest_of, plain_row
from app.features.audit.events import TrailEvent
from app.features.audit.models import AuditEvent

_events = table_of(AuditEvent)
_CLAIM = (
    select(_events.c.details)
    .where(_events.c.action == TrailEvent.AUDIT_ARCHIVED)
    .order_by(_events.c.sequence.desc())
    .limit(1)
)
_HASHES = ("key_id", "digest", "mac")
_BATCH = 1000
_SQLITE_TRIGGER = text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = 'audit_events_no_delete'")


class Place(NamedTuple):
    """A row and its digest; before the first row, number 0."""

    sequence: int = 0
    digest: bytes = FIRST_DIGEST

    @classmethod
    def parse(cls, text: str | bytes) -> "Place":
        """Read what `fields` gave; raises `ValueError` or `KeyError`."""
        fields = orjson.loads(text)
        return cls(int(fields["through"]), bytes.fromhex(fields["digest"]))

    def fields(self) -> dict[str, int | str]:
        """As JSON can hold it."""
        return {"through": self.sequence, "digest": self.digest.hex()}


def archived_through(connection: Connection) -> Place:
    """The last row that was archived, as the trail says; only a verification shows whether that is true."""
    details = connection.scalar(_CLAIM)
    with suppress(ValueError, KeyError, TypeError):
        return Place.parse(details or "")
    return Place()


class ArchiveFile:
    """A file of archived rows."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begins_after(self) -> Place:
        """Where the chain stood before the first row; raises `ValueError` for another kind of file."""
        with self._path.open("rb") as lines:
            try:
                return Place.parse(lines.readline())
            except (KeyError, TypeError):
                raise ValueError("no archive of the audit trail") from None

    def rows(self) -> Iterator[Mapping[str, Any] | None]:
        """Every row in order; None for one that cannot be read."""
        with self._path.open("rb") as lines:
            next(lines, None)
            for line in lines:
                try:
                    row = orjson.loads(line)
                    yield {**row, **{name: bytes.fromhex(row[name]) for name in _HASHES}}
                except (ValueError, KeyError, TypeError):
                    yield None

    def ends_at(self) -> Place | None:
        """The last row, if every row is there and in its place; the MACs are for a verification."""
        sequence, digest = self.begins_after()
        for row in self.rows():
            digest = digest_of(digest, row or {})
            sequence += 1
            if row is None or (row["sequence"], row["digest"]) != (sequence, digest):
                return None
        return Place(sequence, digest)

    def write(self, after: Place, rows: Iterator[Mapping[str, Any]]) -> None:
        """Write a new file, for its owner alone, and sync it; raises `OSError`, also if there is one.

        A file that could not be written to its end is removed.
        """
        with open(self._path, "xb", opener=_for_the_owner) as file:  # Path.open takes no opener
            try:
                file.write(orjson.dumps(after.fields(), option=orjson.OPT_APPEND_NEWLINE))
                file.writelines(orjson.dumps(plain_row(row), option=orjson.OPT_APPEND_NEWLINE) for row in rows)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                self._path.unlink()
                raise
        if os.name == "posix":
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def last_before(connection: Connection, before: datetime, begin: Place) -> Place:
    """The last row, in order, of those behind `begin` from before the time; never the newest row. `begin` for none."""
    later = select(func.min(_events.c.sequence)).where(
        _events.c.created_at >= before, _events.c.sequence > begin.sequence
    )
    stays = connection.scalar(later) or connection.scalar(select(func.max(_events.c.sequence))) or 0
    digest = connection.scalar(select(_events.c.digest).where(_events.c.sequence == stays - 1))
    return begin if digest is None or stays <= begin.sequence else Place(stays - 1, digest)


def rows_between(connection: Connection, begin: Place, end: Place) -> Iterator[Mapping[str, Any]]:
    """The rows behind one place up to another, in order."""
    last, more = begin.sequence, True
    statement = select(_events).where(_events.c.sequence <= end.sequence).order_by(_events.c.sequence).limit(_BATCH)
    while more:
        rows = connection.execute(statement.where(_events.c.sequence > last)).mappings().all()
        for row in rows:
            yield {**row}
            last = row["sequence"]
        more = len(rows) == _BATCH


def remove_through(connection: Connection, through: Place, limit: int) -> int:
    """Delete the first rows, up to `limit`, as far as they are archived; how many that were.

    The trigger that refuses to delete is off in this transaction alone, in which no other one can write. On PostgreSQL
    it takes the owner of the table.
    """
    lock_head(connection)
    first = connection.scalar(select(func.min(_events.c.sequence))) or 0
    last = min(through.sequence, first + limit - 1)
    if last < first:
        return 0
    removing = delete(_events).where(_events.c.sequence <= last)
    if connection.dialect.name == "sqlite":
        trigger = connection.scalar(_SQLITE_TRIGGER)
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS audit_events_no_delete")
        removed = connection.execute(removing).rowcount
        if trigger is not None:
            connection.exec_driver_sql(trigger)
    else:
        connection.exec_driver_sql("ALTER TABLE audit_events DISABLE TRIGGER audit_events_append_only")
        removed = connection.execute(removing).rowcount
        connection.exec_driver_sql("ALTER TABLE audit_events ENABLE TRIGGER audit_events_append_only")
    return removed
