"""Threads that hash: as many as there are cores, which yield to the event loop (ASVS 15.2.2).

Hashing takes 19 MiB and a core for tens of milliseconds. No more runs at once than there are cores; the rest waits in a
queue, and beyond it the answer is 503. Where several wait, a thread takes a few of them and tells of all at once: what
the event loop does after a pause costs about twice what it costs when it has just done the same.
"""

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from math import ceil
from typing import Any, NamedTuple, TypeVar

from app.core.errors import Unavailable
from app.core.events.flow import emit_event
from app.features.accounts.events import AccountEvent

_MOST_AT_ONCE = 8
_RETRY_AFTER_SECONDS = 5
_NICENESS = 19

_Result = TypeVar("_Result")


class _Job(NamedTuple):
    work: Callable[[], Any]
    done: "asyncio.Future[Any]"


class _Outcome(NamedTuple):
    result: Any
    error: Exception | None


class HashingPool:
    """Runs what takes a core, for one event loop."""

    def __init__(self, queue_length: int) -> None:
        self._workers = self._idle = usable_cores()
        self._queue: deque[_Job] = deque()
        self._queue_length = queue_length
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="argon2", initializer=_yield_to_others)

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """The result of the work; raises what it raises, and `Unavailable` where too many wait."""
        if not self._idle and len(self._queue) >= self._queue_length:
            emit_event(AccountEvent.HASHING_SHED, outcome="denied", waiting=len(self._queue))
            raise Unavailable(
                "Too many sign-ins at once. Try again in a few seconds.", retry_after=_RETRY_AFTER_SECONDS
            )
        done: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        job = _Job(work, done)
        self._queue.append(job)
        self._start()
        try:
            return await done
        except asyncio.CancelledError:
            with suppress(ValueError):  # where it has begun, it is not there
                self._queue.remove(job)
            raise

    def close(self) -> None:
        """Let the threads go; what has not begun is cancelled."""
        while self._queue:
            self._queue.popleft().done.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        """Give what waits to the threads that are idle, in equal parts."""
        while self._idle and self._queue:
            share = min(_MOST_AT_ONCE, ceil(len(self._queue) / self._workers))
            jobs = [self._queue.popleft() for _ in range(share)]
            running = asyncio.get_running_loop().run_in_executor(self._pool, _outcomes, jobs)
            running.add_done_callback(partial(self._finish, jobs))
            self._idle -= 1

    def _finish(self, jobs: Sequence[_Job], running: "asyncio.Future[list[_Outcome]]") -> None:
        self._idle += 1
        if running.cancelled():  # the pool was closed
            for job in jobs:
                job.done.cancel()
            return
        for job, outcome in zip(jobs, running.result(), strict=True):
            _settle(job.done, outcome)
        self._start()


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _outcomes(jobs: Sequence[_Job]) -> list[_Outcome]:
    return [_outcome(job.work) for job in jobs]


def _outcome(work: Callable[[], Any]) -> _Outcome:
    try:
        return _Outcome(work(), None)
    except Exception as error:  # noqa: BLE001  # it is for whoever waits for the work
        return _Outcome(None, error)


def _settle(done: "asyncio.Future[Any]", outcome: _Outcome) -> None:
    if done.done():  # nobody waits any more
        return
    if outcome.error is None:
        done.set_result(outcome.result)
    else:
        done.set_exception(outcome.error)


def _yield_to_others() -> None:
    """Let the event loop go first: on Linux, niceness belongs to a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
