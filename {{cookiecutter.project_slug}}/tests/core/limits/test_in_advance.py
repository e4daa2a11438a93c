"""`Limiter.hit_often`: hits that are counted in advance, on Valkey: asked rarely, and never more than the limit."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from limits import parse
from pydantic import SecretStr
from redis import Redis

from app.core import limits
from app.core.errors import Unavailable
from app.core.limits import Limiter
from tests.support.servers.valkey import ValkeyServer, running_valkey, url_of

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("2.4.1")]

MANY = parse("1600/minute")
SIXTEENTH = 100


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """Valkey, which each test may stop."""
    with running_valkey() as server:
        yield server


@asynccontextmanager
async def replicas(server: ValkeyServer, count: int) -> AsyncIterator[list[Limiter]]:
    """As many processes have a limiter each."""
    async with AsyncExitStack() as stack:
        limiters = [Limiter(SecretStr(url_of(server)), "test") for _ in range(count)]
        for limiter in limiters:
            stack.push_async_callback(limiter.close)
        yield limiters


def calls(server: ValkeyServer) -> int:
    """How many scripts Valkey has run."""
    with Redis.from_url(url_of(server)) as valkey:
        return sum(
            each["calls"] for name, each in valkey.info("commandstats").items() if name.startswith("cmdstat_eval")
        )


async def allowed(limiter: Limiter, count: int, at_once: int = 1) -> int:
    """How many of so many hits are allowed."""
    result = 0
    for _ in range(count // at_once):
        result += sum(each.allowed for each in await asyncio.gather(*(limiter.hit_often(MANY) for _ in range(at_once))))
    return result


async def test_a_busy_client_costs_few_round_trips(server: ValkeyServer) -> None:
    """Of 1,600 hits of one client all are allowed, and of the next 400 none; Valkey is asked a hundred times."""
    async with replicas(server, 1) as (limiter,):
        assert await allowed(limiter, 2000) == 1600
        assert calls(server) < 120
        refused = await limiter.hit_often(MANY)
        assert 0 < refused.retry_after <= 60
        assert calls(server) < 120


@pytest.mark.parametrize("at_once", [1, 20])
async def test_replicas_together_never_allow_more(server: ValkeyServer, at_once: int) -> None:
    """Whatever each has counted in advance: no more than the limit, and less by a sixteenth for each at most."""
    async with replicas(server, 3) as limiters:
        some = sum(await asyncio.gather(*(allowed(limiter, 700, at_once) for limiter in limiters)))
        assert MANY.amount - 3 * SIXTEENTH <= some <= MANY.amount
        # What is left is still there for those who have it; then there is nothing for anybody.
        rest = sum(await asyncio.gather(*(allowed(limiter, 200) for limiter in limiters)))
        assert some + rest == MANY.amount


async def test_a_replica_that_goes_away_takes_a_sixteenth_with_it(server: ValkeyServer) -> None:
    """What it had counted in advance is lost, and comes back with the next window."""
    async with replicas(server, 2) as (gone, stays):
        used = await allowed(gone, 300)
        assert used == 300
        assert MANY.amount - used - SIXTEENTH <= await allowed(stays, 2000) <= MANY.amount - used


async def test_a_small_limit_is_counted_one_by_one(server: ValkeyServer) -> None:
    """Below 32 nothing is counted in advance: replicas allow exactly the limit, in any order."""
    few = parse("31/minute")
    async with replicas(server, 2) as limiters:
        verdicts = [(await limiters[number % 2].hit_often(few, "few")).allowed for number in range(40)]
    assert verdicts == [True] * 31 + [False] * 9


async def test_nothing_is_carried_into_the_next_window(server: ValkeyServer) -> None:
    """A client that has hits left when its window ends has no more than the limit in the next one."""
    quick = parse("320/second")
    async with replicas(server, 1) as (limiter,):
        assert all([(await limiter.hit_often(quick)).allowed for _ in range(40)])
        await asyncio.sleep(1.05)
        begin = asyncio.get_running_loop().time()
        assert sum([(await limiter.hit_often(quick)).allowed for _ in range(400)]) == 320
        assert asyncio.get_running_loop().time() - begin < 1


async def test_hits_of_a_hanging_server_are_forgotten(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it hangs, this process allows a quarter of the limit, and nothing besides."""
    monkeypatch.setattr(limits, "_REDIS_SECONDS", 0.2)
    async with replicas(server, 1) as (limiter,):
        assert await allowed(limiter, 200) == 200
        with Redis.from_url(url_of(server)) as valkey:
            valkey.client_pause(1500)
        (await limiter.hit(MANY, "another client"))
        assert await allowed(limiter, 1000) == MANY.amount // 4
        assert not limiter._advances  # noqa: SLF001  # none that could be used later


async def test_without_the_server_it_ends_with_what_was_counted(server: ValkeyServer) -> None:
    """Hits that were counted are allowed; then nothing is."""
    async with replicas(server, 1) as (limiter,):
        await allowed(limiter, 200)
        server.stop()
        with pytest.raises(Unavailable):
            await allowed(limiter, SIXTEENTH)


async def test_clients_are_bounded(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, a process remembers so many."""
    monkeypatch.setattr(limits, "_MOST_ADVANCES", 10)
    async with replicas(server, 1) as (limiter,):
        for number in range(50):
            await limiter.hit_often(MANY, str(number))
            assert len(limiter._advances) <= 10  # noqa: SLF001  # its size
