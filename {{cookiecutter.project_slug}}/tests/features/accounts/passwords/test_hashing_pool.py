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
    await pool.close()
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
    await pool.close()
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
    await pool.close()
    await asyncio.wait(waiting, timeout=5)
    over.set()
    assert await asyncio.gather(*running) == [True] * CORES
    assert all(task.cancelled() for task in waiting)


async def test_while_many_wait_they_go_on_in_groups_with_others_in_between() -> None:
    """The first goes on when 16 are hashed, and each has a turn of the event loop of its own."""
    pool, hashed, turns, gone_on = HashingPool(queue_length=50), [0], [0], []

    def work() -> None:
        time.sleep(0.002)
        hashed[0] += 1

    async def sign_in() -> None:
        await pool.run(work)
        gone_on.append((turns[0], hashed[0]))

    async def other_requests() -> None:
        while len(gone_on) < 40:
            turns[0] += 1
            await asyncio.sleep(0)

    await asyncio.wait_for(asyncio.gather(*(sign_in() for _ in range(40)), other_requests()), timeout=20)
    await pool.close()
    assert gone_on[0][1] >= 16
    assert len({turn for turn, _ in gone_on}) == 40


async def test_a_caller_that_is_cancelled_in_a_group_holds_up_no_other() -> None:
    """The rest of the group goes on."""
    pool, over = HashingPool(queue_length=50), threading.Event()
    blocked = [asyncio.create_task(pool.run(over.wait)) for _ in range(CORES - 1)]
    tasks = [asyncio.create_task(pool.run(partial(time.sleep, 0.01))) for _ in range(20)]
    await asyncio.sleep(0.03)
    for task in tasks[::2]:
        task.cancel()
    over.set()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, *blocked, return_exceptions=True), timeout=20)
    await pool.close()
    assert outcomes[1:20:2] == [None] * 10


@pytest.mark.skipif(sys.platform != "linux", reason="niceness belongs to a thread on Linux alone")
async def test_the_threads_give_way_to_the_event_loop() -> None:
    """Theirs is another niceness than that of the loop, which keeps its own."""
    pool, own = HashingPool(queue_length=1), os.getpriority(os.PRIO_PROCESS, 0)
    theirs = await pool.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    await pool.close()
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own < theirs
