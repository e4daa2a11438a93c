"""Whether two requests can be told apart by the time that they take."""

import random
import time
from collections.abc import Awaitable, Callable, Sequence

ALIKE = 0.6
_ROUND = 60
_MOST = 180


async def tell_apart(one: Callable[[], Awaitable[object]], other: Callable[[], Awaitable[object]]) -> float:
    """How well the times of two requests tell them apart: 0.5 not at all, 1 always (Mann and Whitney's statistic).

    Pairs are interleaved, and within a pair the order is drawn, so that what comes and goes on the machine hits both.
    Where the first pairs leave it open, more are measured: chance wears off, a difference stays.
    """
    first: list[float] = []
    second: list[float] = []
    while len(first) < _MOST:
        for _ in range(_ROUND):
            pair = [(one, first), (other, second)]
            random.shuffle(pair)
            for request, times in pair:
                began = time.perf_counter()
                await request()
                times.append(time.perf_counter() - began)
        share = rank_statistic(first, second)
        found = max(share, 1 - share)
        if found < ALIKE:
            break
    return found


def rank_statistic(one: Sequence[float], other: Sequence[float]) -> float:
    """Mann-Whitney's U over the number of pairs: how often `one` is below `other`. One half: nobody can tell."""
    below = sum((mine < theirs) + (mine == theirs) / 2 for mine in one for theirs in other)
    return below / (len(one) * len(other))
