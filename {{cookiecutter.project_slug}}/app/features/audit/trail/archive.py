"""Archiving: the oldest rows move to a file, and the chains go on from there.

A file holds one JSON object on each line: where each shard stood before it, then the rows as they were hashed. In the
trail, a row `audit_archived` names the last archived row of each shard and its digest. It confirms the file, and
`Verification` begins behind them: rows that are gone without such a row are missing.
"""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, or_, select, text

from app.core.database.database import table_of
from app.features.audit.events import TrailEvent
from app.features.audit.models import AuditEvent, AuditHead
from app.features.audit.trail.append import lock_heads
from app.features.audit.trail.chain import Anchor, End, digest_of, plain_row, position_of

_events = table_of(AuditEvent)
BATCH = 1000
_SQLITE_TRIGGER = text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = 'audit_events_no_delete'")


def archived_through(connection: Connection) -> Anchor:
    """Return the last archived rows as the trail names them; only a verification shows whether that is true."""
    named = select(_events.c.details).where(_events.c.action == TrailEvent.AUDIT_ARCHIVED)
    details = connection.scalar(named.order_by(_events.c.sequence.desc()).limit(1))
    with suppress(ValueError, KeyError, TypeError):
        return Anchor.from_json(details or "")
    return Anchor()


class ArchiveFile:
    """A file of archived rows."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begins_after(self) -> Anchor:
        """Return where each shard stood before the first row; raises `ValueError` for another kind of file."""
        with self._path.open("rb") as lines:
            try:
                return Anchor.from_json(lines.readline())
            except (ValueError, KeyError, TypeError):
                raise ValueError(f"{self._path} is no archive of the audit trail") from None

    def rows(self) -> Iterator[Mapping[str, Any] | None]:
        """Yield every row in order; None for one that cannot be read."""
        with self._path.open("rb") as lines:
            next(lines, None)
            for line in lines:
                try:
                    row = orjson.loads(line)
                    yield {**row, **{name: bytes.fromhex(row[name]) for name in ("key_id", "digest", "mac")}}
                except (ValueError, KeyError, TypeError):
                    yield None

    def ends_at(self) -> Anchor | None:
        """Return where it ends if every row is there and in its place; a verification compares the MACs."""
        begin = self.begins_after()
        ends, through = dict(enumerate(begin.ends, 1)), begin.through
        for row in self.rows():
            shard, place = position_of(row) if row else (0, 0)
            before = ends.get(shard)
            if row is None or before is None:
                return None
            ends[shard] = End(before.place + 1, digest_of(before.digest, row))
            if ends[shard] != (place, row["digest"]):
                return None
            through = max(through, row["sequence"])
        return Anchor(tuple(ends.values()), through)

    def write(self, after: Anchor, rows: Iterator[Mapping[str, Any]]) -> int:
        """Write a new file of mode 0600 and sync it; return the number of rows. Without a row, there is no file.

        Raises `OSError`, also if the file exists. A file that could not be written to its end is removed.
        """
        first, count = next(rows, None), 0
        if first is None:
            return count
        with open(self._path, "xb", opener=partial(os.open, mode=0o600)) as file:  # Path.open takes no opener
            try:
                file.write(orjson.dumps(after.fields(), option=orjson.OPT_APPEND_NEWLINE))
                for number, row in enumerate(itertools.chain([first], rows), 1):
                    count = number
                    file.write(orjson.dumps(plain_row(row), option=orjson.OPT_APPEND_NEWLINE))
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
        return count


def rows_before(connection: Connection, before: datetime) -> Iterator[Mapping[str, Any]]:
    """Yield the rows, in order, up to the first one that is not from before the time; of no shard the newest.

    Of each shard only rows that were there at the beginning: another one may come in front of its place in the order.
    """
    heads = {head.id: head.place for head in connection.execute(select(AuditHead.id, AuditHead.place))}
    later = connection.scalar(select(func.min(_events.c.sequence)).where(_events.c.created_at >= before))
    last, statement = 0, select(_events).order_by(_events.c.sequence).limit(BATCH)
    end = later or (connection.scalar(select(func.max(_events.c.sequence))) or 0) + 1
    while True:
        found = statement.where(_events.c.sequence > last, _events.c.sequence < end)
        rows = [{**row} for row in connection.execute(found).mappings()]
        for row in rows:
            shard, place = position_of(row)
            if place < heads.get(shard, 0):
                yield row
        if len(rows) < BATCH:
            return
        last = rows[-1]["sequence"]


def remove_through(connection: Connection, through: Anchor, limit: int) -> int:
    """Delete the first rows, up to `limit`, as far as they are archived; return how many.

    The trigger that refuses to delete is off in this transaction alone, and no other one can write meanwhile. On
    PostgreSQL, only the owner of the table can switch it off: another role is refused here, before there is a file.
    """
    lock_heads(connection)
    shards = [(_events.c.shard == shard) & (_events.c.place <= end.place) for shard, end in enumerate(through.ends, 1)]
    whole = _events.c.shard.is_(None) & (_events.c.sequence <= through.ends[0].place)
    archived = select(_events.c.sequence).where(or_(whole, *shards)).order_by(_events.c.sequence).limit(limit)
    if connection.dialect.name == "sqlite":
        off, on = "DROP TRIGGER IF EXISTS audit_events_no_delete", connection.scalar(_SQLITE_TRIGGER)
    else:
        off, on = (f"ALTER TABLE audit_events {act} TRIGGER audit_events_append_only" for act in ("DISABLE", "ENABLE"))
    connection.exec_driver_sql(off)
    removed = connection.execute(delete(_events).where(_events.c.sequence.in_(archived))).rowcount
    if on is not None:
        connection.exec_driver_sql(on)
    return removed
