"""The database: one object that opens transactions, for SQLite and PostgreSQL alike.

A service that must keep a change although it answers with an error raises after the block of `transaction()`.
Hot paths use `fetch_all()` and `run_in_transaction()`: one `await` each; on SQLite, without a worker thread.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection, DateTime, Dialect, Executable, MetaData, QueuePool, Row, Table, Uuid, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from app.core.database.lease import CHANGED, Lease, listen_to_triggers, settle
from app.core.database.postgresql import UNAVAILABLE_ERRORS, StaleStatementError, postgresql_engine
from app.core.database.sqlite import DatabaseBusy, DirectSqlite, connect
from app.core.events import EventRecord, PendingEvents, collect_events

__all__ = ["SERVING_RIGHTS", "UNAVAILABLE_ERRORS", "Base", "Database", "UtcDateTime", "table_of"]

Result = TypeVar("Result")

RecordEvents = Callable[[Connection, Sequence[EventRecord]], object]
"""Adds events to the audit trail in the transaction that emitted them; raises if it cannot."""

SERVING_RIGHTS = "serving_rights"
"""The key in `info` of a table on which the role that serves has fewer rights than to read, add, change and delete."""

# How long a transaction waits for a connection, and then for a lock; after that the answer is 503.
_POOL_SECONDS = 5
_BUSY_SECONDS = 3
_PING_SECONDS = 5
_READS: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC, on SQLite too, which stores no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Store a time in UTC; raises `ValueError` for one without a zone, which would be read as another one."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Return a time that is aware."""
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


class Base(DeclarativeBase):
    """The base of every table. Constraints have names, so that a migration can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: UtcDateTime, UUID: Uuid}


def table_of(model: type[Base]) -> Table:
    """Return the table of a model, for hot paths: a statement on the model costs twice as much."""
    return Base.metadata.tables[model.__tablename__]


class Database(AbstractAsyncContextManager["Database"]):
    """The engines of one database, and the transactions on them."""

    def __init__(self, url: SecretStr) -> None:
        dsn = url.get_secret_value()
        self._direct: DirectSqlite | None = None
        self._lease: Lease | None = None
        if (parts := make_url(dsn)).get_backend_name() == "sqlite":
            reader, writer = _sqlite_engines(dsn)
            self._direct = DirectSqlite(reader.dialect.create_connect_args(parts))
            recorder = writer
        else:
            reader, writer, recorder = _postgresql_engines(dsn)
            self._lease = Lease(self.fetch_all)
            listen_to_triggers(writer)
        self._engines = (reader, writer, recorder)
        self.read = async_sessionmaker(reader, expire_on_commit=False, autoflush=False)
        """Opens a session that reads, for `async with`: each statement is its own transaction, and holds no lock."""
        self._writes = async_sessionmaker(writer, expire_on_commit=False)
        self._recordings = async_sessionmaker(recorder, expire_on_commit=False)
        self.record_events_with: RecordEvents | None = None
        """What records the events of a transaction, just before it is committed."""

    async def fetch_all(self, statement: Executable, parameters: Mapping[str, object]) -> Sequence[Row[Any]]:
        """Return the rows of one statement, in one go: for the queries of every request."""
        if self._direct is not None:
            with suppress(DatabaseBusy):
                return self._direct.fetch_all(statement, parameters)
        try:
            return await self.read().run_sync(_rows, statement, parameters)
        except StaleStatementError:
            return await self.read().run_sync(_rows, statement, parameters)

    def version(self) -> int | None:
        """Return a number of what is read from now on, which `unchanged` takes; `None` if nothing may be kept."""
        if self._lease is not None:
            return self._lease.number()
        return self._direct.version() if self._direct is not None else None

    def unchanged(self, then: int, now: int, owner: UUID) -> bool:
        """Return whether no process has changed what is the owner's in between; on SQLite, anything at all."""
        return then == now or (self._lease is not None and self._lease.unchanged(then, owner))

    @asynccontextmanager
    async def transaction(self, *, before_commit: Callable[[], object] | None = None) -> AsyncIterator[AsyncSession]:
        """Open a transaction that writes, for `async with`: committed at its end, rolled back if the block raises.

        `before_commit` is called after all is written, its security events too; if it raises, that is rolled back.
        """
        async with self._open(self._writes) as (db, pending):
            yield db
            await db.run_sync(self._end, pending, before_commit)

    async def record(self, work: Callable[[Connection], object]) -> None:
        """Run the work in its own transaction, for events of none; one at a time, on a connection for it."""
        async with self._open(self._recordings) as (db, pending):
            await db.run_sync(self._do, work, pending)

    async def run_in_transaction(self, work: Callable[[Connection], Result]) -> Result:
        """Run the work in a transaction that writes, in one go: cheaper than `transaction`, for sign-ins."""
        if self._direct is not None:
            with suppress(DatabaseBusy), collect_events() as pending:
                with self._direct.transaction() as connection:
                    result = work(connection)
                    if pending.event_records:
                        self._record_events(connection, pending.event_records)
                pending.committed = True
                return result
        async with self._open(self._writes) as (db, pending):
            return await db.run_sync(self._do, work, pending)

    @asynccontextmanager
    async def _open(self, make: async_sessionmaker[AsyncSession]) -> AsyncIterator[tuple[AsyncSession, PendingEvents]]:
        with collect_events() as pending:
            db = make()
            db.sync_session.begin()
            try:
                yield db, pending
            except BaseException:
                async with db:  # closes it, which rolls it back
                    raise
        if db.info.get(CHANGED):
            await settle()

    def _do(self, db: Session, work: Callable[[Connection], Result], pending: PendingEvents) -> Result:
        result = work(db.connection())
        self._end(db, pending)
        return result

    def _end(self, db: Session, pending: PendingEvents, before_commit: Callable[[], object] | None = None) -> None:
        """Commit the transaction, unless the block has rolled it back. In one go: each `await` costs more than this."""
        if db.in_transaction():
            if pending.event_records:
                # First, so that a broken constraint shows before the end of the trail is locked.
                db.flush()
                self._record_events(db.connection(), pending.event_records)
            if before_commit is not None:
                before_commit()
            if self._lease is not None:
                db.info[CHANGED] = db.connection().info.get(CHANGED, False)
            db.commit()
            pending.committed = True
        db.close()

    def _record_events(self, connection: Connection, event_records: Sequence[EventRecord]) -> None:
        if self.record_events_with is None:
            raise RuntimeError("nothing records the security events of this database: see record_events_with")
        self.record_events_with(connection, event_records)

    async def ping(self) -> None:
        """Return if the database answers and takes writes, without a lock; raises one of `UNAVAILABLE_ERRORS`."""
        try:
            async with asyncio.timeout(_PING_SECONDS), self.read() as db:
                if self._direct is not None:
                    await db.execute(text("SELECT 1"))
                    self._direct.rewrite()
                elif await db.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
                    raise OperationalError(None, None, RuntimeError("the database is read-only"))
        except TimeoutError as error:
            raise OperationalError(None, None, error) from None

    def pools(self) -> dict[str, tuple[int, int]]:
        """Return how many connections of each pool are in use, and how many it has at most."""
        pools = zip(("read", "write", "record"), (engine.pool for engine in dict.fromkeys(self._engines)), strict=False)
        return {name: (pool.checkedout(), pool.size()) for name, pool in pools if isinstance(pool, QueuePool)}

    async def close(self, *_: object) -> None:
        """Close every connection."""
        if self._lease is not None:
            await self._lease.close()
        for engine in self._engines:
            await engine.dispose()
        if self._direct is not None:
            self._direct.close()

    __aexit__ = close


def _rows(db: Session, statement: Executable, parameters: Mapping[str, object]) -> Sequence[Row[Any]]:
    with db:
        return db.execute(statement, parameters).all()


def _sqlite_engines(dsn: str) -> tuple[AsyncEngine, AsyncEngine]:
    """Make engines to read and to write. One writer: transactions queue for its connection, not for the file's lock."""

    def make(*, writes: bool, **options: Any) -> AsyncEngine:
        creator = partial(connect, writes=writes)
        options |= {"connect_args": {"timeout": _BUSY_SECONDS, "async_creator_fn": creator}}
        return create_async_engine(dsn, hide_parameters=True, pool_timeout=_POOL_SECONDS, max_overflow=0, **options)

    return make(writes=False, pool_size=2, **_READS), make(writes=True, pool_size=1)


def _postgresql_engines(dsn: str) -> tuple[AsyncEngine, AsyncEngine, AsyncEngine]:
    """Make engines to read, to write, to record, so that a wait for a row takes no connection of the others."""
    make = partial(
        postgresql_engine,
        dsn,
        application=f"app {socket.gethostname()} {os.getpid()}",
        limits={
            "idle_in_transaction_session_timeout": "60s",
            # For a row it waits twice: until it is the first in the queue, and until the row is free.
            "lock_timeout": "2s",
            "statement_timeout": "30s",
        },
        answer_seconds=40,
        pool_timeout=_POOL_SECONDS,
        max_overflow=0,
    )
    # Together as many connections as each process has at most.
    return (
        make(pool_size=7, **_READS),
        make(pool_size=7, isolation_level="READ COMMITTED"),
        make(pool_size=1, isolation_level="READ COMMITTED"),
    )
