"""Archiving: the oldest rows move to a file, and the chain goes on from there.

A file holds one JSON object on each line: where the chain stood before it, then the rows as they were hashed. In the
trail, a row `audit_archived` names the last archived row and its digest. It confirms the file, and `Verification`
begins behind it: rows that are gone without such a row are missing.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, text

from app.core.database.database import table_of
from app.features.audit.events import TrailEvent
from app.features.audit.models import AuditEvent
from app.features.audit.trail.append import lock_head
from app.features.audit.trail.chain import Anchor, digest_of, plain_row

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


def archived_through(connection: Connection) -> Anchor:
    """Return the last archived row as the trail names it; only a verification shows whether that is true."""
    details = connection.scalar(_CLAIM)
    with suppress(ValueError, KeyError, TypeError):
        return Anchor.from_json(details or "")
    return Anchor()


class ArchiveFile:
    """A file of archived rows."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begins_after(self) -> Anchor:
        """Return where the chain stood before the first row; raises `ValueError` for another kind of file."""
        with self._path.open("rb") as lines:
            try:
                return Anchor.from_json(lines.readline())
            except (KeyError, TypeError):
                raise ValueError("no archive of the audit trail") from None

    def rows(self) -> Iterator[Mapping[str, Any] | None]:
        """Yield every row in order; None for one that cannot be read."""
        with self._path.open("rb") as lines:
            next(lines, None)
            for line in lines:
                try:
                    row = orjson.loads(line)
                    yield {**row, **{name: bytes.fromhex(row[name]) for name in _HASHES}}
                except (ValueError, KeyError, TypeError):
                    yield None

    def ends_at(self) -> Anchor | None:
        """Return the last row if every row is there and in its place; a verification compares the MACs."""
        sequence, digest = self.begins_after()
        for row in self.rows():
            digest = digest_of(digest, row or {})
            sequence += 1
            if row is None or (row["sequence"], row["digest"]) != (sequence, digest):
                return None
        return Anchor(sequence, digest)

    def write(self, after: Anchor, rows: Iterator[Mapping[str, Any]]) -> None:
        """Write a new file of mode 0600 and sync it; raises `OSError`, also if the file exists.

        A file that could not be written to its end is removed.
        """
        with open(self._path, "xb", opener=partial(os.open, mode=0o600)) as file:  # Path.open takes no opener
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


def last_before(connection: Connection, before: datetime, begin: Anchor) -> Anchor:
    """Return the last row, in order, of those behind `begin` and from before the time, but never the newest row.

    Without such a row, return `begin`.
    """
    later = select(func.min(_events.c.sequence)).where(
        _events.c.created_at >= before, _events.c.sequence > begin.sequence
    )
    stays = connection.scalar(later) or connection.scalar(select(func.max(_events.c.sequence))) or 0
    digest = connection.scalar(select(_events.c.digest).where(_events.c.sequence == stays - 1))
    return begin if digest is None or stays <= begin.sequence else Anchor(stays - 1, digest)


def rows_between(connection: Connection, begin: Anchor, end: Anchor) -> Iterator[Mapping[str, Any]]:
    """Yield the rows behind `begin` up to `end`, in order."""
    last = begin.sequence
    while last < end.sequence:
        statement = select(_events).where(_events.c.sequence > last, _events.c.sequence <= end.sequence)
        rows = connection.execute(statement.order_by(_events.c.sequence).limit(_BATCH)).mappings().all()
        yield from ({**row} for row in rows)
        last = rows[-1]["sequence"] if rows else end.sequence


def remove_through(connection: Connection, through: Anchor, limit: int) -> int:
    """Delete the first rows, up to `limit`, as far as they are archived; return how many.

    The trigger that refuses to delete is off in this transaction alone, and no other one can write meanwhile. On
    PostgreSQL, only the owner of the table can switch it off.
    """
    lock_head(connection)
    first = connection.scalar(select(func.min(_events.c.sequence))) or 0
    last = min(through.sequence, first + limit - 1)
    if last < first:
        return 0
    if connection.dialect.name == "sqlite":
        off, on = "DROP TRIGGER IF EXISTS audit_events_no_delete", connection.scalar(_SQLITE_TRIGGER)
    else:
        off, on = (
            f"ALTER TABLE audit_events {verb} TRIGGER audit_events_append_only" for verb in ("DISABLE", "ENABLE")
        )
    connection.exec_driver_sql(off)
    removed = connection.execute(delete(_events).where(_events.c.sequence <= last)).rowcount
    if on is not None:
        connection.exec_driver_sql(on)
    return removed
