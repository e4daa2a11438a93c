"""`app/features/system/routes.py`: many who ask, and one check."""

import asyncio
from contextlib import suppress

import pytest

from app.features.system.routes import SharedCheck

pytestmark = pytest.mark.anyio


class Check:
    """Counts its runs, takes a moment, and fails if told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.error: Exception | None = None

    async def __call__(self) -> None:
        """Run."""
        self.runs += 1
        await asyncio.sleep(0.02)
        if self.error is not None:
            raise self.error


async def test_all_who_ask_meanwhile_wait_for_one_run() -> None:
    """And for some time after it has passed nobody asks again."""
    check = Check()
    shared = SharedCheck(check, seconds=0.1)
    await asyncio.gather(*(shared() for _ in range(100)))
    await shared()
    assert check.runs == 1
    await asyncio.sleep(0.12)
    await shared()
    assert check.runs == 2


async def test_all_are_told_of_a_failure_and_the_next_one_looks_anew() -> None:
    """It is kept for nobody."""
    check = Check()
    check.error = ValueError()
    shared = SharedCheck(check, seconds=60)
    told = await asyncio.gather(*(shared() for _ in range(10)), return_exceptions=True)
    assert [type(error) for error in told] == [ValueError] * 10
    assert check.runs == 1
    check.error = None
    await shared()
    assert check.runs == 2


async def test_who_goes_away_takes_it_from_nobody() -> None:
    """The run goes on when the one who began it is cancelled."""
    check = Check()
    shared = SharedCheck(check, seconds=60)
    first = asyncio.create_task(shared())
    await asyncio.sleep(0)
    second = asyncio.create_task(shared())
    await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    await second
    assert check.runs == 1
