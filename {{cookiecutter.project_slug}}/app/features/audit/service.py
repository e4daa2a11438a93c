"""The audit trail, as the other features and the commands use it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from operator import eq, ge, lt
from pathlib import Path
from uuid import UUID

import orjson
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, Row, String, and_, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.core.errors import Conflict
from app.core.events import EventName, events_to
from app.core.pagination import Cursors, PageParams
from app.features.audit.events import TrailEvent
from app.features.audit.models import AuditEvent
from app.features.audit.schemas import ExportedEvent, Moment
from app.features.audit.trail.append import Appender, lock_heads, unavailable
from app.features.audit.trail.archive import BATCH, ArchiveFile, archived_through, remove_through, rows_before
from app.features.audit.trail.chain import Anchor
from app.features.audit.trail.recorder import Recorder
from app.features.audit.trail.verification import Report, Verification


class Filters(BaseModel):
    """Which rows the caller wants; a filter that is None takes all. `since` is included, `until` is not."""

    actor: UUID | None = Field(default=None, description="Only what this user did.")
    target: UUID | None = Field(default=None, description="Only what happened to this user, session or thing.")
    action: EventName | None = Field(default=None, description="Only this event.")
    since: Moment | None = Field(default=None, description="Only from this time on.")
    until: Moment | None = Field(default=None, description="Only before this time.")

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on the rows; the first one, or those on the time alone, have an index."""
        wanted = (
            (AuditEvent.target_id, eq, self.target and str(self.target)),
            (AuditEvent.actor_id, eq, self.actor),
            (AuditEvent.action, eq, self.action),
            (AuditEvent.created_at, ge, self.since),
            (AuditEvent.created_at, lt, self.until),
        )
        return [is_so(column, value) for column, is_so, value in wanted if value is not None]


class AuditTrail:
    """Records, lists, exports and verifies events, those of the database's transactions included.

    `follow` is for what happens before every process has the current key: see `Appender`.
    """

    def __init__(self, database: Database, keys: KeyRing, *, follow: bool = False) -> None:
        self._database = database
        self.verification = partial(Verification, database, keys)
        self._append = Appender(keys, follow=follow)
        self._recorder = Recorder(database, self._append)
        database.record_events_with = self._recorder.record_within
        self.record = self._recorder.record
        self._cursors = Cursors(keys, "audit", {"sequence": int})

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Record the events of the block and of the tasks it starts; raises `Unavailable` if one was lost."""
        lost = self._recorder.lost
        try:
            with events_to(self._recorder):
                yield
        finally:
            await self._recorder.close()
        if self._recorder.lost > lost:
            raise unavailable()

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Have the current key confirm what an earlier one did; return of how many shards, 0 if it has.

        The next events do the same. After it, the earlier key is not needed any more.
        """
        return await (await db.connection()).run_sync(self._append.confirm)

    async def latest(self, *actions: str) -> AuditEvent | None:
        """Return the last event of these actions."""
        statement = select(AuditEvent).where(AuditEvent.action.in_(actions)).order_by(AuditEvent.sequence.desc())
        async with self._database.read() as db:
            return await db.scalar(statement.limit(1))

    async def daily(self, since: datetime) -> Sequence[Row[str, str, str, int]]:
        """Return day (ISO 8601, in UTC), action, outcome and the number of such events, for each that there are."""
        day = func.date(AuditEvent.created_at)
        kind = (day, AuditEvent.action, AuditEvent.outcome)
        statement = select(cast(day, String), *kind[1:], func.count()).where(AuditEvent.created_at >= since)
        async with self._database.read() as db:
            return (await db.execute(statement.group_by(*kind))).all()

    async def count(self) -> int:
        """Return about how many rows the database holds: the numbers from its first to its last have few gaps."""
        ends = (select(end(AuditEvent.sequence)).scalar_subquery() for end in (func.min, func.max))
        async with self._database.read() as db:
            first, last = (await db.execute(select(*ends))).one()
        return last - first + 1 if last else 0

    async def count_events(self, filters: Filters, least: int) -> str:
        """Return how many events there are, such as "1,000+", `least` or more; `BATCH` rows at most are looked at."""
        conditions = filters.conditions()
        first = 1 if filters.target or filters.actor or filters.action else len(conditions)
        narrowed = (
            select(and_(true(), *conditions[first:]).label("so")).select_from(AuditEvent).where(*conditions[:first])
        )
        rows = narrowed.limit(BATCH + 1).subquery()
        statement = select(func.count(), func.count().filter(rows.c.so)).select_from(rows)
        async with self._database.read() as db:
            looked, found = (await db.execute(statement)).one()
        return f"{max(least, min(found, BATCH)):,}{'+' if looked > BATCH else ''}"

    async def list_events(self, filters: Filters, params: PageParams) -> tuple[Sequence[AuditEvent], str | None]:
        """Return a page of events, newest first, and the next cursor, which is valid for the same filters alone."""
        params = params._replace(search=str([getattr(filters, name) for name in Filters.model_fields]))
        statement = select(AuditEvent).where(*filters.conditions())
        return await self._cursors.fetch(self._database, statement, params, (AuditEvent.sequence,))

    async def export(self, filters: Filters) -> AsyncIterator[bytes]:
        """Yield events, oldest first, read in batches: each as JSON on a line of its own, with what proves it."""
        last, more = 0, True
        statement = select(AuditEvent).where(*filters.conditions()).order_by(AuditEvent.sequence).limit(BATCH)
        while more:
            async with self._database.read() as db:
                rows = (await db.scalars(statement.where(AuditEvent.sequence > last))).all()
            for row in rows:
                yield orjson.dumps(ExportedEvent.model_validate(row).model_dump(mode="json")) + b"\n"
                last = row.sequence
            more = len(rows) == BATCH

    async def archive(self, begin: Anchor, before: datetime, path: Path) -> Anchor:
        """Copy the rows behind `begin` and from before a time to a new file, record that, and return where they end.

        `begin` is what a verification found to be archived; without rows to copy, it is returned.
        Raises `OSError` if the file cannot be written, `Conflict` if another archive was made meanwhile.
        """
        file = ArchiveFile(path)
        await self.remove_archived(begin)
        async with self._database.read() as db:
            count = await (await db.connection()).run_sync(lambda rows: file.write(begin, rows_before(rows, before)))
        if not count:
            return begin
        end = file.ends_at()
        if end is None or end.rows - begin.rows != count:
            raise OSError("it does not hold what was written to it")
        async with self._database.transaction() as db:
            await (await db.connection()).run_sync(self._claim, begin, end)
        return end

    async def remove_archived(self, through: Anchor) -> None:
        """Delete the rows up to one that a verification or `archive` gave, in short transactions."""
        removed = 1
        while removed:
            async with self._database.transaction() as db:
                removed = await (await db.connection()).run_sync(remove_through, through, BATCH)

    def _claim(self, connection: Connection, begin: Anchor, end: Anchor) -> None:
        lock_heads(connection)
        if archived_through(connection) != begin:
            raise Conflict("Another archive was made meanwhile.")
        self._append.mark(connection, TrailEvent.AUDIT_ARCHIVED, **end.fields())


__all__ = ["Anchor", "AuditTrail", "Filters", "Report", "Verification"]
