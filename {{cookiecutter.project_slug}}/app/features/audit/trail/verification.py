"""Verifying: read every row once, in the order of their numbers, and judge each in its shard.

A row also names the newest row of the other shards that its writer saw. So a shard that was put back to an older state,
with its head, is found as long as one other shard was not.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.features.audit.models import SHARDS, AuditEvent, AuditHead
from app.features.audit.trail.archive import BATCH, ArchiveFile, archived_through
from app.features.audit.trail.chain import LARGEST, Anchor, ChainKeys, Head, position_of
from app.features.audit.trail.shard import Flaw, ShardVerification

_SEEN = "the digest that the row it saw has"

_other = aliased(AuditEvent)
_COLUMNS = (
    *AuditEvent.__table__.columns,
    select(_other.digest).where(_other.sequence == AuditEvent.seen).scalar_subquery().label(_SEEN),
)
_NEWEST = select(func.max(AuditEvent.sequence)).scalar_subquery()
# One statement: heads and last rows are those of one moment.
_ENDS = select(
    *AuditHead.__table__.columns,
    select(func.max(AuditEvent.place)).where(AuditEvent.shard == AuditHead.id).scalar_subquery(),
    select(func.max(AuditEvent.sequence)).where(AuditEvent.shard.is_(None), AuditHead.id == 1).scalar_subquery(),
    _NEWEST,
)


class Report(NamedTuple):
    """How many rows are in order, the anchor of the last of them, and the first flaw.

    `unread` rows before them are archived, and no file was given.
    """

    rows: int
    anchor: Anchor | None
    flaw: Flaw | None
    unread: int = 0


class Verification:
    """Reads the whole trail once: the archives, in their order, then the rows in the database.

    Writers may go on meanwhile: it ends where the trail ended when it began. `anchor` is what an earlier verification
    gave. With `unfinished`, rows that are archived may still be there.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        anchor: Anchor | None = None,
        archives: Sequence[Path] = (),
        *,
        unfinished: bool = False,
    ) -> None:
        self._database = database
        self._chain = ChainKeys(keys)
        self._anchor = anchor
        self._unfinished = unfinished
        self._archives = [ArchiveFile(path) for path in archives]
        # What the trail says is archived. The row that says so is behind it, and is verified as every other one.
        self.archived = self._start = Anchor()
        self._shards: dict[int, ShardVerification] = {}
        self._newest = 0

    async def begin(self) -> int:
        """Read both ends; return about how many rows there are to read.

        Raises `ValueError` for a file that is no archive, `OSError` for one that cannot be opened.
        """
        async with self._database.read() as db:
            heads = {head.id: tuple(head) for head in await db.execute(_ENDS)}
            newest = next(iter(heads.values()))[-1] if heads else await db.scalar(select(_NEWEST))
            self.archived = await (await db.connection()).run_sync(archived_through)
        self._newest = _number(newest)
        self._start = self._archives[0].begins_after() if self._archives else self.archived
        rows = 0
        for shard in range(1, SHARDS + 1):
            found = heads.get(shard)
            head, limit = (Head(*found[1:5]), max(map(_number, found[1:2] + found[5:7]))) if found else (None, LARGEST)
            self._shards[shard] = ShardVerification(shard, self._chain, self._anchor, head, limit)
            rows += self._shards[shard].start(self._start.ends[shard - 1], self.archived.ends[shard - 1])
        return min(rows, self._newest)

    async def run(self, progress: Callable[[int], None] = lambda _: None) -> Report:
        """Read up to the first flaw; `progress` is called for every row that is in order. Raises as `begin` does."""
        if not self._shards:
            await self.begin()
        flaw = None
        async for flaw in self._judgements():
            if flaw is not None:
                break
            progress(1)
        end = Anchor(tuple(shard.end for shard in self._shards.values()))
        rows = sum(shard.rows_before(flaw) for shard in self._shards.values())
        return Report(rows, end if flaw is None and end.rows else None, flaw, self._start.rows)

    async def _judgements(self) -> AsyncIterator[Flaw | None]:
        """Yield a flaw, or None, for each row of the files and of the database, and what is wrong at their ends."""
        for archive in self._archives:
            for row in archive.rows():
                yield self._flaw_of(row, from_file=True)
        for shard in self._shards.values():
            if flaw := shard.flaw_of_files():
                yield flaw
        async for row in self._rows():
            yield self._flaw_of(row)
        for shard in self._shards.values():
            if flaw := shard.flaw_of_end():
                yield flaw

    async def _rows(self) -> AsyncIterator[Mapping[str, Any] | None]:
        """Yield every row of the database in order; None for one that cannot even be read."""
        statement = select(*_COLUMNS).where(AuditEvent.sequence <= self._newest).order_by(AuditEvent.sequence)
        size, behind = BATCH, statement
        while True:
            try:
                async with self._database.read() as db:
                    rows = (await db.execute(behind.limit(size))).mappings().all()
            except (TypeError, ValueError):
                if size == 1:
                    yield None
                    return
                size = 1
                continue
            for row in rows:
                yield {**row}
            if len(rows) < size:
                return
            behind = statement.where(AuditEvent.sequence > rows[-1]["sequence"])

    def _flaw_of(self, row: Mapping[str, Any] | None, *, from_file: bool = False) -> Flaw | None:
        read = sum(shard.end.place for shard in self._shards.values())
        if row is None:
            return Flaw(0, read + 1, "cannot be read")
        row = {**row}
        seen = row.pop(_SEEN, None)
        try:
            shard, place = position_of(row)
            if shard not in self._shards:
                return Flaw(0, read + 1, f"(number {row['sequence']}) is of a shard that does not exist")
            flaw = self._shards[shard].flaw_of(place, row, from_file=from_file, unfinished=self._unfinished)
            return flaw or (None if from_file else self._flaw_of_seen(shard, place, row, seen))
        except (TypeError, ValueError, AttributeError, KeyError):
            return Flaw(0, read + 1, "holds what no column of its type can")

    def _flaw_of_seen(self, shard: int, place: int, row: Mapping[str, Any], seen: bytes | None) -> Flaw | None:
        """Return what is wrong if the row of another shard that was there when this one was written is not there."""
        if row["seen"] is None or seen == row["seen_digest"] or (seen is None and row["seen"] <= self.archived.through):
            return None
        what = f"was written behind row number {row['seen']}, which is not there any more: its shard was put back"
        return Flaw(shard, place, what)


def _number(last: object) -> int:
    # SQLite stores a text in any column, and takes it for larger than any number.
    return last if isinstance(last, int) else LARGEST if last else 0
