"""Verifying: read every row once, and find the first that is not as this service wrote it.

Rows that were made with a key that is gone count as confirmed by the mark that follows them (`audit_key_changed`): its
own MAC ties their hashes, and it says whether their end was confirmed when the key changed.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from sqlalchemy import func, select

from app.core.crypto.keys import KeyRing
from app.core.database.database import Database
from app.features.audit.events import TrailEvent
from app.features.audit.models import HEAD_ID, AuditEvent, AuditHead
from app.features.audit.trail.archive import ArchiveFile, archived_through
from app.features.audit.trail.chain import Anchor, ChainKeys, Head, digest_of

_BATCH = 1000
_LARGEST = 2**63 - 1
_COLUMNS = tuple(AuditEvent.__table__.columns)
_NOT_ANCHORED = "is not the one that the anchor names, or one before it is not"
_GONE = "was made with a key that is neither SECRET_KEY nor one of SECRET_KEY_FALLBACKS, and no later key confirms it"


class Flaw(NamedTuple):
    """A row that is not as it should be, and what is wrong with it."""

    sequence: int
    what: str

    def __str__(self) -> str:
        """Say it in one sentence."""
        return f"Row {self.sequence} {self.what}."


class Report(NamedTuple):
    """How many rows are in order from the first one on, the anchor of the last of them, and the first flaw.

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
        self.archived = self._start = self._end = Anchor()  # the end: the last row that was in order
        self._head: Head | None = None
        self._last = 0
        # The first of the latest rows that nothing confirms yet, or 0.
        self._unconfirmed = 0

    async def begin(self) -> int:
        """Read both ends; return about how many rows there are to read.

        Raises `ValueError` for a file that is no archive, `OSError` for one that cannot be opened.
        """
        last = select(func.max(AuditEvent.sequence)).scalar_subquery()
        head = select(AuditHead.sequence, AuditHead.digest, AuditHead.key_id, AuditHead.mac, last)
        async with self._database.read() as db:
            # One statement: the head and the last row are those of one moment.
            found = (await db.execute(head.where(AuditHead.id == HEAD_ID))).one_or_none()
            end = found[-1] if found else await db.scalar(select(last))
            self.archived = await (await db.connection()).run_sync(archived_through)
        self._head = Head(*found[:-1]) if found else None
        # SQLite stores a text in any column, and takes it for larger than any number.
        self._last = end if isinstance(end, int) else _LARGEST if end else 0
        self._start = self._end = self._archives[0].begins_after() if self._archives else self.archived
        return max(self._last, self._head.sequence if self._head else 0) - self._start.sequence

    async def run(self, progress: Callable[[int], None] = lambda _: None) -> Report:
        """Read up to the first flaw, after `begin`; `progress` is called for every row that is in order."""
        for archive in self._archives:
            for row in archive.rows():
                flaw = self._flaw_of(row, from_file=True)
                if flaw is not None:
                    return self._report(flaw)
                progress(1)
        if self._end.sequence > self.archived.sequence:
            return self._report(Flaw(self.archived.sequence + 1, "is in a file, and the trail does not say so"))
        async for row in self._rows():
            flaw = self._flaw_of(row)
            if flaw is not None:
                return self._report(flaw)
            progress(1)
        return self._report(self._flaw_of_end())

    def _report(self, flaw: Flaw | None) -> Report:
        last = self._end.sequence if flaw is None else min(self._end.sequence, flaw.sequence - 1)
        anchor = self._end if flaw is None and self._end.sequence else None
        return Report(max(0, last - self._start.sequence), anchor, flaw, self._start.sequence)

    async def _rows(self) -> AsyncIterator[Mapping[str, Any] | None]:
        """Yield every row of the database in order; None for one that cannot even be read."""
        statement = select(*_COLUMNS).where(AuditEvent.sequence <= self._last).order_by(AuditEvent.sequence)
        size, started = _BATCH, self._unfinished
        while True:
            behind = statement.where(AuditEvent.sequence > self._end.sequence) if started else statement
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
            started = True
            if len(rows) < size:
                return

    def _flaw_of(self, row: Mapping[str, Any] | None, *, from_file: bool = False) -> Flaw | None:
        expected = self._end.sequence + 1
        if row is None:
            return Flaw(expected, "cannot be read")
        try:
            if not from_file and 0 < self.archived.sequence >= row["sequence"]:
                return Flaw(
                    row["sequence"], "is archived and still there: `manage audit archive` ends what was stopped"
                )
            return self._judge(row, expected)
        except (TypeError, ValueError, AttributeError, KeyError):
            return Flaw(expected, "holds what no column of its type can")

    def _judge(self, row: Mapping[str, Any], expected: int) -> Flaw | None:
        sequence: int = row["sequence"]
        if sequence > expected:
            return Flaw(expected, "is missing")
        if sequence < expected or (self._head and sequence > self._head.sequence):
            return Flaw(sequence, "was inserted")
        digest = digest_of(self._end.digest, row)
        known = self._chain.knows(row["key_id"])
        goes_on = row["action"] == TrailEvent.AUDIT_KEY_CHANGED
        # Only the mark of another key, or a row that the anchor confirms, may stand behind rows that nothing confirms.
        if self._unconfirmed and known and not (goes_on or self._is_anchored(sequence)):
            return Flaw(self._unconfirmed, _GONE)
        if digest != row["digest"] or (known and not self._chain.confirms_row(row)):
            return Flaw(sequence, "was changed, or put in the place of another one")
        flaw = self._judge_mark(row, goes_on=goes_on)
        if flaw is not None:
            return flaw
        if not known:
            self._unconfirmed = self._unconfirmed or sequence
        elif goes_on:
            self._unconfirmed = 0
        self._end = Anchor(sequence, digest)
        return self._compare_with_anchor()

    def _judge_mark(self, row: Mapping[str, Any], *, goes_on: bool) -> Flaw | None:
        """Return what a mark, which is in order itself, says about the rows before it."""
        if row["action"] == TrailEvent.AUDIT_CHAIN_BROKEN:
            return Flaw(row["sequence"], f"marks that the trail before it had been tampered with: {row['details']}")
        confirmed = row["outcome"] == "success" or self._is_anchored(self._end.sequence)
        if goes_on and not (confirmed or self._was_genuine(row["details"])):
            return Flaw(row["sequence"], "goes on under another key behind rows whose end nothing confirms")
        return None

    def _compare_with_anchor(self) -> Flaw | None:
        if self._anchor is None or self._anchor.sequence != self._end.sequence:
            return None
        if self._anchor != self._end:
            return Flaw(self._end.sequence, _NOT_ANCHORED)
        self._unconfirmed = 0
        return None

    def _is_anchored(self, sequence: int) -> bool:
        return self._anchor is not None and sequence <= self._anchor.sequence

    def _was_genuine(self, details: str) -> bool:
        """Whether the keys of today confirm the head that the writer of a mark could not confirm."""
        fields = orjson.loads(details)
        return self._chain.confirms_head(
            Head(*self._end, bytes.fromhex(fields["previous"]), bytes.fromhex(fields["head"]))
        )

    def _flaw_of_end(self) -> Flaw | None:
        head, behind = self._head, self._end.sequence + 1
        if head is None:
            return Flaw(behind, "may be missing: the head, which knows how many there were, is gone")
        if head.sequence > self._end.sequence:
            return Flaw(behind, "is missing")
        if self._unconfirmed:
            return Flaw(self._unconfirmed, _GONE)
        if not head.is_fresh and (head.digest != self._end.digest or not self._chain.confirms_head(head)):
            return Flaw(self._end.sequence, "is not the one that the head names: the head was changed")
        return self._flaw_of_anchor()

    def _flaw_of_anchor(self) -> Flaw | None:
        """Return what is wrong if the anchor names a row that was not read."""
        anchor, start = self._anchor, self._start
        if anchor is None:
            return None
        if anchor.sequence > self._end.sequence:
            return Flaw(self._end.sequence + 1, f"is missing: the anchor names row {anchor.sequence}")
        if anchor.sequence == start.sequence and anchor.digest != start.digest:
            return Flaw(start.sequence, _NOT_ANCHORED)
        if anchor.sequence < start.sequence:
            return Flaw(anchor.sequence, "is archived: name its file, too, to compare it with the anchor")
        return None
