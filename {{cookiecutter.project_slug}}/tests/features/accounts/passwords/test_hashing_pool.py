"""The threads that hash: whose result is whose, who waits, and who gives way to whom."""

import asyncio
import os
import sys
import threading
import time
from functools import partial

import pytest

from app.core.errors import Unavailable
from app.features.accounts.passwords.hasher import HashingPool, usable_cores

pytestmark = pytest.mark.anyio

CORES = usable_cores()


async def test_each_gets_its_own_result_or_error() -> None:
    """Nobody is given what another one asked for."""
    pool = HashingPool(queue_length=50)

    def work(number: int) -> int:
        if number % 5 == 0:
            raise ValueError(number)
        return number

    outcomes = await asyncio.gather(*(pool.run(partial(work, number)) for number in range(50)), return_exceptions=True)
    pool.close()
    for number, outcome in enumerate(outcomes):
        if number % 5 == 0:
            assert isinstance(outcome, ValueError)
            assert outcome.args == (number,)
        else:
            assert outcome == number


async def test_whoever_goes_leaves_their_place_to_others() -> None:
    """A queue that is full of those who have gone would refuse everybody else."""
    pool, over = HashingPool(queue_length=10), threading.Event()
    running = [asyncio.create_task(pool.run(over.wait)) for _ in range(CORES)]
    await asyncio.sleep(0)
    done: list[int] = []
    waiting = [asyncio.create_task(pool.run(partial(done.append, number))) for number in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await pool.run(time.time)
    for task in waiting[:9]:
        task.cancel()
    await asyncio.wait(waiting[:9])
    late = asyncio.create_task(pool.run(lambda: done.append(99)))
    await asyncio.sleep(0)
    over.set()
    await asyncio.gather(*running, waiting[9], late)
    pool.close()
    assert sorted(done) == [9, 99]


async def test_a_pool_that_is_closed_keeps_nobody_waiting() -> None:
    """What has not begun is cancelled; what has goes on to its end."""
    pool, begun, over = HashingPool(queue_length=10), threading.Semaphore(0), threading.Event()

    def work() -> bool:
        begun.release()
        return over.wait()

    running = [asyncio.create_task(pool.run(work)) for _ in range(CORES)]
    for _ in range(CORES):
        await asyncio.to_thread(begun.acquire)
    waiting = [asyncio.create_task(pool.run(time.time)) for _ in range(3)]
    await asyncio.sleep(0)
    pool.close()
    await asyncio.wait(waiting, timeout=5)
    over.set()
    assert await asyncio.gather(*running) == [True] * CORES
    assert all(task.cancelled() for task in waiting)


@pytest.mark.skipif(sys.platform != "linux", reason="niceness belongs to a thread on Linux alone")
async def test_the_threads_give_way_to_the_event_loop() -> None:
    """Theirs is another niceness than that of the loop, which keeps its own."""
    pool, own = HashingPool(queue_length=1), os.getpriority(os.PRIO_PROCESS, 0)
    theirs = await pool.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    pool.close()
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own < theirs
