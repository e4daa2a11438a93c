"""Verifying one shard: find the first row that is not as this service wrote it.

Rows that were made with a key that is gone count as confirmed by the mark that follows them (`audit_key_changed`): its
own MAC ties their hashes, and it says whether their end was confirmed when the key changed.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from app.features.audit.events import TrailEvent
from app.features.audit.trail.chain import Anchor, ChainKeys, End, Head, digest_of

_NOT_ANCHORED = "is not the one that the anchor names, or one before it is not"
_GONE = "was made with a key that is neither SECRET_KEY nor one of SECRET_KEY_FALLBACKS, and no later key confirms it"


class Flaw(NamedTuple):
    """A row that is not as it should be, by its place in its shard, and what is wrong with it.

    A row that cannot be read is of no shard; its place is how many were read before it.
    """

    shard: int
    place: int
    what: str

    def __str__(self) -> str:
        """Say it in one sentence."""
        return f"Row {self.place}{f' of shard {self.shard}' if self.shard else ''} {self.what}."


class ShardVerification:
    """Judges the rows of a shard, in their order.

    `head` and `limit` are of when the verification began: rows with a higher place were written later, and are skipped.
    """

    def __init__(self, shard: int, chain: ChainKeys, anchor: Anchor | None, head: Head | None, limit: int) -> None:
        self._shard = shard
        self._chain = chain
        # Of a shard that was empty when the anchor was made, it says nothing.
        self._anchor = anchor.ends[shard - 1] if anchor is not None and anchor.ends[shard - 1].place else None
        self._head = head
        self._limit = limit
        self._start = self.end = self._archived = End()
        # The first of the latest rows that nothing confirms yet, or 0.
        self._unconfirmed = 0

    def start(self, start: End, archived: End) -> int:
        """Begin behind a row; return about how many there are to read. Rows up to `archived` are in a file."""
        self._start = self.end = start
        self._archived = archived
        return self._limit - start.place

    def rows_before(self, flaw: Flaw | None) -> int:
        """Return how many are in order."""
        last = min(self.end.place, flaw.place - 1) if flaw and flaw.shard == self._shard else self.end.place
        return max(0, last - self._start.place)

    def flaw_of(self, place: int, row: Mapping[str, Any], *, from_file: bool, unfinished: bool) -> Flaw | None:
        """Return what is wrong with the next row; raises if it holds what no column of its type can."""
        if place > self._limit:
            return None
        if not from_file and 0 < self._archived.place >= place:
            what = "is archived and still there: `manage audit archive` ends what was stopped"
            return None if unfinished else self._flaw(place, what)
        return self._judge(place, row)

    def flaw_of_files(self) -> Flaw | None:
        """Return what is wrong after the last file."""
        if self.end.place > self._archived.place:
            return self._flaw(self._archived.place + 1, "is in a file, and the trail does not say so")
        return None

    def flaw_of_end(self) -> Flaw | None:
        """Return what is wrong after the last row."""
        head, behind = self._head, self.end.place + 1
        if head is None:
            return self._flaw(behind, "may be missing: the head, which knows how many there were, is gone")
        if head.place > self.end.place:
            return self._flaw(behind, "is missing")
        if self._unconfirmed:
            return self._flaw(self._unconfirmed, _GONE)
        if not head.is_fresh and (head.digest != self.end.digest or not self._chain.confirms_head(head)):
            return self._flaw(self.end.place, "is not the one that the head names: the head was changed")
        return self._flaw_of_anchor()

    def _flaw(self, place: int, what: str) -> Flaw:
        return Flaw(self._shard, place, what)

    def _judge(self, place: int, row: Mapping[str, Any]) -> Flaw | None:
        expected = self.end.place + 1
        if place < expected or (self._head and place > self._head.place):
            return self._flaw(place, "was inserted")
        if place > expected:
            return self._flaw(expected, "is missing")
        digest = digest_of(self.end.digest, row)
        known = self._chain.knows(row["key_id"])
        goes_on = row["action"] == TrailEvent.AUDIT_KEY_CHANGED
        # Only the mark of another key, or a row that the anchor confirms, may stand behind rows that nothing confirms.
        if self._unconfirmed and known and not (goes_on or self._is_anchored(place)):
            return self._flaw(self._unconfirmed, _GONE)
        if digest != row["digest"] or (known and not self._chain.confirms_row(row)):
            return self._flaw(place, "was changed, or put in the place of another one")
        if flaw := self._judge_mark(place, row, goes_on=goes_on):
            return flaw
        if not known:
            self._unconfirmed = self._unconfirmed or place
        elif goes_on:
            self._unconfirmed = 0
        self.end = End(place, digest)
        anchor = self._anchor or End()
        if anchor.place == place:
            self._unconfirmed = 0
        return self._flaw(place, _NOT_ANCHORED) if anchor.place == place and anchor.digest != digest else None

    def _judge_mark(self, place: int, row: Mapping[str, Any], *, goes_on: bool) -> Flaw | None:
        """Return what a mark, which is in order itself, says about the rows before it."""
        if row["action"] == TrailEvent.AUDIT_CHAIN_BROKEN:
            return self._flaw(place, f"marks that the trail before it had been tampered with: {row['details']}")
        confirmed = row["outcome"] == "success" or self._is_anchored(self.end.place)
        if goes_on and not (confirmed or self._was_genuine(row["details"])):
            return self._flaw(place, "goes on under another key behind rows whose end nothing confirms")
        return None

    def _is_anchored(self, place: int) -> bool:
        return self._anchor is not None and place <= self._anchor.place

    def _was_genuine(self, details: str) -> bool:
        """Return whether the keys of today confirm the head that the writer of a mark could not confirm."""
        fields = orjson.loads(details)
        head = Head(*self.end, key_id=bytes.fromhex(fields["previous"]), mac=bytes.fromhex(fields["head"]))
        return self._chain.confirms_head(head)

    def _flaw_of_anchor(self) -> Flaw | None:
        """Return what is wrong if the anchor names a row that was not read."""
        anchor, start = self._anchor, self._start
        if anchor is None:
            return None
        if anchor.place > self.end.place:
            return self._flaw(self.end.place + 1, f"is missing: the anchor names row {anchor.place}")
        if anchor.place == start.place and anchor.digest != start.digest:
            return self._flaw(start.place, _NOT_ANCHORED)
        if anchor.place < start.place:
            return self._flaw(anchor.place, "is archived: name its file, too, to compare it with the anchor")
        return None
