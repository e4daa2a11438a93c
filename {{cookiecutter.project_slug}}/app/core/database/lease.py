"""How long what was read from PostgreSQL may be kept: a lease, of which each process has its own (decision 29).

Triggers write into `principal_changes` whose session, account or roles a transaction changes. A poll asks which of
these transactions ended since the last poll, and gives a lease of `LEASE_SECONDS` that began when it was sent. Who
commits such a change answers `SETTLE_SECONDS` later, when every lease that does not know of it is over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Executable, Row, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

LEASE_SECONDS = 0.08
# More than a lease: the clocks of two machines do not run at the same rate while one of them is being set.
SETTLE_SECONDS = 0.1

CHANGED = "principal_changes"
"""The table, the message of its triggers, and the key under which a connection keeps that it came."""

EVERYBODY = UUID(int=0)
"""Whose rows a `TRUNCATE` takes."""

# The triggers keep the rows of 100,000 transactions (migration 0015): after half as many, none is missing.
_MOST_TRANSACTIONS = 50_000
_MOST_CHANGED = 10_000

# Transactions that this snapshot sees and the last one did not. Rows of a backup may have numbers still to come.
_POLL = text(
    """
    SELECT pg_postmaster_start_time(), pg_current_snapshot()::text, ARRAY(
        SELECT DISTINCT user_id FROM principal_changes
        WHERE xid >= pg_snapshot_xmin(CAST(:last AS text)::pg_snapshot)::text::bigint
        AND xid < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
        AND NOT pg_visible_in_snapshot(xid::text::xid8, CAST(:last AS text)::pg_snapshot)
    )
    """
)

_log = structlog.get_logger("app")


class Lease:
    """Numbers the polls. What was read after one poll is as it is now if no later one tells of its owner."""

    def __init__(self, fetch_all: Callable[[Executable, Mapping[str, object]], Awaitable[Sequence[Row[Any]]]]) -> None:
        self._fetch_all = fetch_all
        self._number = self._oldest = 0
        self._changed: dict[UUID, int] = {}
        self._server: object = None
        self._snapshot: str | None = None
        self._ends = self._asked = 0.0
        self._poll: asyncio.Task[None] | None = None
        self._works = True

    def number(self) -> int | None:
        """Return the number of the last poll, or `None` if its lease is over; begin another in time, if asked often."""
        now, before = monotonic(), self._asked
        self._asked = now
        if self._poll is None and now - before < LEASE_SECONDS and now > self._ends - LEASE_SECONDS / 2:
            self._poll = asyncio.get_running_loop().create_task(self._renew(), context=Context())
        return self._number if now < self._ends else None

    def unchanged(self, number: int, owner: UUID) -> bool:
        """Return whether no poll after this number has told of the owner."""
        return number >= self._oldest and self._changed.get(owner, 0) <= number

    async def close(self) -> None:
        """Let the poll that is under way end; one that hangs is given up."""
        if (poll := self._poll) is not None and not (await asyncio.wait({poll}, timeout=LEASE_SECONDS))[0]:
            poll.cancel()
            await asyncio.wait({poll})

    async def _renew(self) -> None:
        """Poll. Without an answer the lease ends: each request then asks the database."""
        sent = monotonic()
        try:
            row: Any = (await self._fetch_all(_POLL, {"last": self._snapshot}))[0]
        except SQLAlchemyError as error:
            if self._works:
                _log.warning("lease_not_renewed", error=type(error).__name__)
            self._works = False
        else:
            self._note(*row)
            self._ends, self._works = sent + LEASE_SECONDS, True
        finally:
            self._poll = None

    def _note(self, server: object, snapshot: str, owners: Sequence[UUID]) -> None:
        """Forget everything of another server, or after so many transactions that some may be missing."""
        self._number += 1
        known = self._snapshot is not None and _begin(snapshot) - _begin(self._snapshot) < _MOST_TRANSACTIONS
        if not known or server != self._server or EVERYBODY in owners or len(self._changed) > _MOST_CHANGED:
            self._oldest, self._changed = self._number, {}
        self._changed.update(dict.fromkeys(owners, self._number))
        self._server, self._snapshot = server, snapshot


def _begin(snapshot: str) -> int:
    """Return the first transaction that was under way: a snapshot is written as `xmin:xmax:those in between`."""
    return int(snapshot.partition(":")[0])


def listen_to_triggers(engine: AsyncEngine) -> None:
    """Have a connection keep `CHANGED` in its `info` if a trigger told of a change, until it goes back to the pool."""

    def on_connect(connection: Any, record: Any) -> None:
        def on_message(_: object, message: Any) -> None:
            if message.message == CHANGED:
                record.info[CHANGED] = True

        connection.driver_connection.add_log_listener(on_message)

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "checkin", lambda _, record: record.info.pop(CHANGED, None))


async def settle() -> None:
    """Wait until no process has a lease from before this moment."""
    end = monotonic() + SETTLE_SECONDS
    while (left := end - monotonic()) > 0:
        await asyncio.sleep(left)
