"""Group commit: short transactions that come at the same moment are one, which costs little more than one of them.

Only where nothing is waited for. Where the lock is taken, or one of the group fails, all of it is rolled back as if it
had never been, and each is done by itself: what fails then fails alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from app.core.events.flow import EventRecord, PendingEvents

Result = TypeVar("Result")

Begin = Callable[[], AbstractContextManager[Connection]]
"""Opens a transaction that is committed at the end of the block, and waits for nothing."""


class GroupCommitFailed(Exception):  # noqa: N818  # no error: there is another way
    """The group did not come about. Nothing was done."""


@dataclass(frozen=True, slots=True)
class _Member:
    work: Callable[[Connection], Any]
    pending: PendingEvents
    context: Context
    done: "asyncio.Future[Any]"


class WriteGroup:
    """Takes what comes in one turn of the event loop into one transaction."""

    def __init__(self, begin: Begin, record: Callable[[Connection, Sequence[EventRecord]], object]) -> None:
        self._begin = begin
        self._record = record
        self._members: list[_Member] = []

    async def do(self, work: Callable[[Connection], Result], pending: PendingEvents) -> Result:
        """Do the work, and record the events that it tells; raises `GroupCommitFailed`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        if not self._members:
            loop.call_soon(self._do_all, context=Context())
        self._members.append(_Member(work, pending, copy_context(), done))
        return await done

    def _do_all(self) -> None:
        # Whoever was cancelled while it waited is not begun.
        members, self._members = [member for member in self._members if not member.done.done()], []
        if not members:
            return
        try:
            results = self._commit(members)
        except Exception:  # noqa: BLE001  # whatever it is, it is met again by whoever it belongs to
            for member in members:
                member.pending.forget()
                member.done.set_exception(GroupCommitFailed())
            return
        for member in members:
            member.pending.committed = True
        _tell(deque(zip(members, results, strict=True)))

    def _commit(self, members: Sequence[_Member]) -> list[Any]:
        with self._begin() as connection:
            results = [member.context.run(member.work, connection) for member in members]
            told = [event_record for member in members for event_record in member.pending.event_records]
            if told:
                # In the context of one of them: what recording has to tell belongs to some transaction.
                members[0].context.run(self._record, connection, told)
        return results


def _tell(results: deque[tuple[_Member, Any]]) -> None:
    """Tell one in each turn of the event loop, so that whoever else comes does not wait for the answers to all."""
    member, result = results.popleft()
    if not member.done.done():
        member.done.set_result(result)
    if results:
        asyncio.get_running_loop().call_soon(_tell, results)
