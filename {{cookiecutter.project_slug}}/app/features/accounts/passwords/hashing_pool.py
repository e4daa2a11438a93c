"""Threads that hash (19 MiB, tens of milliseconds): one a core, below the event loop's priority (ASVS 15.2.2)."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.core.errors import Unavailable
from app.core.events import emit_event
from app.features.accounts.events import AccountEvent

_RETRY_AFTER_SECONDS = 5
_NICENESS = 19

_Result = TypeVar("_Result")


class HashingPool:
    """Runs work that takes a core, for one event loop."""

    def __init__(self, queue_length: int) -> None:
        self._workers = usable_cores()
        self._queue_length = queue_length
        self._under_way = 0
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="argon2", initializer=_lower_priority)

    @property
    def waiting(self) -> int:
        """How many wait for a thread."""
        return max(0, self._under_way - self._workers)

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Return the result of the work; raises what it raises, and `Unavailable` if too many wait."""
        waiting = self._under_way - self._workers
        if waiting >= self._queue_length:
            emit_event(AccountEvent.HASHING_SHED, outcome="denied", waiting=waiting)
            raise Unavailable(
                "Too many sign-ins at once. Try again in a few seconds.", retry_after=_RETRY_AFTER_SECONDS
            )
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Let the threads go; work that has not begun is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _lower_priority() -> None:
    """Let the event loop go first: on Linux, niceness belongs to a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
