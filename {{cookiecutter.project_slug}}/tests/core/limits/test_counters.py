"""Shared counters over a Valkey that fails, hangs, refuses writes, is shared with others, or holds nonsense."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from limits import parse
from pydantic import SecretStr
from redis import Redis
from structlog.testing import capture_logs

from app.core import limits as counters
from app.core.errors import Unavailable
from app.core.limits import Limiter
from tests.support.processes.server import free_port
from tests.support.servers.valkey import ValkeyServer, running_valkey, url_of

pytestmark = pytest.mark.anyio

EIGHT = parse("8/minute")


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """A Valkey that a test may break."""
    with running_valkey() as server:
        yield server


@asynccontextmanager
async def limiter_on(url: str, service: str = "test") -> AsyncIterator[Limiter]:
    """A limiter over Valkey, closed at the end."""
    limiter = Limiter(SecretStr(url), service)
    yield limiter
    await limiter.close()


async def allowed(limiter: Limiter, count: int = 12) -> int:
    """How many of so many hits are allowed."""
    return sum([(await limiter.hit(EIGHT, "key")).allowed for _ in range(count)])


@pytest.mark.asvs("16.5.2", "16.5.3")
async def test_a_server_that_hangs_is_waited_for_once(server: ValkeyServer) -> None:
    """One hit waits a second, the next ones not at all; a quarter of the limit is allowed, and the probe says no."""
    async with limiter_on(url_of(server)) as limiter:
        await limiter.ping()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            began = monotonic()
            assert await allowed(limiter) == 2
            assert monotonic() - began < 2.5
            refused = await limiter.hit(EIGHT, "key")
            assert not refused.allowed
            assert 1 <= refused.retry_after <= 60
            await limiter.refund(EIGHT, "key")
            assert await allowed(limiter) == 1
            with pytest.raises(Unavailable) as refusal:
                await limiter.ping()
            assert refusal.value.headers["Retry-After"] == "5"
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await limiter.ping()
        assert (await limiter.hit(EIGHT, "key")).allowed


@pytest.mark.asvs("16.5.2")
async def test_a_server_that_hung_is_tried_again(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a probe too: some time after a timeout, one hit tries it; both changes are logged once."""
    monkeypatch.setattr(counters, "_RETRY_AFTER_SECONDS", 0.3)
    with capture_logs() as lines:
        async with limiter_on(url_of(server)) as limiter:
            os.kill(server.pid, signal.SIGSTOP)
            assert await allowed(limiter) == 2
            os.kill(server.pid, signal.SIGCONT)
            await asyncio.sleep(0.4)
            assert await allowed(limiter) == 8
            server.stop()
            with pytest.raises(Unavailable):
                await limiter.hit(EIGHT, "key")
    assert [line["event"] for line in lines] == ["rate_limits_local", "rate_limits_shared"]


async def test_who_goes_away_while_it_hangs_makes_nobody_wait_again(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that was cancelled says nothing of the server."""
    async with limiter_on(url_of(server)) as limiter:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await limiter.hit(EIGHT, "key")
            monkeypatch.setattr(counters, "_RETRY_AFTER_SECONDS", 60)
            probe = asyncio.create_task(limiter.ping())
            await asyncio.sleep(0.1)
            probe.cancel()
            await asyncio.wait([probe])
            began = monotonic()
            await limiter.hit(EIGHT, "key")
            assert monotonic() - began < 0.5
        finally:
            os.kill(server.pid, signal.SIGCONT)


async def test_services_do_not_share_their_counts(server: ValkeyServer) -> None:
    """Two services on one Valkey: a client that one refuses has its whole limit at the other."""
    async with (
        limiter_on(url_of(server), "https://one.example") as one,
        limiter_on(url_of(server), "https://two.example") as two,
        limiter_on(url_of(server), "https://one.example") as replica_of_one,
    ):
        assert [await allowed(limiter) for limiter in (one, two, replica_of_one)] == [8, 8, 0]


def _no_expiry(valkey: Redis, key: str) -> None:
    valkey.persist(key)


def _expiry_beyond_the_window(valkey: Redis, key: str) -> None:
    """What is left when the clock of the server is set back an hour."""
    valkey.expire(key, 3660)


@pytest.mark.parametrize("spoil", [_no_expiry, _expiry_beyond_the_window])
async def test_a_count_that_would_not_end_ends(server: ValkeyServer, spoil: Callable[[Redis, str], None]) -> None:
    """The window begins with the next hit; until it ends, the client is refused as before."""
    async with limiter_on(url_of(server)) as limiter:
        assert await allowed(limiter) == 8
        with Redis.from_url(url_of(server)) as valkey:
            (key,) = valkey.keys("*")
            spoil(valkey, key)
            refused = await limiter.hit(EIGHT, "key")
            assert not refused.allowed
            assert 1 <= refused.retry_after <= 60
            assert 0 < valkey.pttl(key) <= 60_000


def _list(valkey: Redis, key: str) -> None:
    valkey.delete(key)
    valkey.rpush(key, "x")


def _words(valkey: Redis, key: str) -> None:
    valkey.set(key, "many")


def _fraction(valkey: Redis, key: str) -> None:
    valkey.set(key, "1.5")


def _negative(valkey: Redis, key: str) -> None:
    valkey.set(key, "-1000")


def _longer_than_a_number(valkey: Redis, key: str) -> None:
    valkey.set(key, "9" * 400)


@pytest.mark.parametrize("spoil", [_list, _words, _fraction, _negative, _longer_than_a_number])
async def test_what_is_no_count_is_replaced(server: ValkeyServer, spoil: Callable[[Redis, str], None]) -> None:
    """The limit is there again, and ends with its window."""
    async with limiter_on(url_of(server)) as limiter:
        assert await allowed(limiter) == 8
        with Redis.from_url(url_of(server)) as valkey:
            (key,) = valkey.keys("*")
            spoil(valkey, key)
            await limiter.refund(EIGHT, "other")
            assert await allowed(limiter) == 8
            assert 0 < valkey.pttl(key) <= 60_000


async def test_a_server_without_memory_is_not_ready(server: ValkeyServer) -> None:
    """It answers PING, and takes no hit: the probe says no, and yes as soon as it does."""
    async with limiter_on(url_of(server)) as limiter:
        with Redis.from_url(url_of(server)) as valkey:
            valkey.config_set("maxmemory", 1)
            with pytest.raises(Unavailable):
                await limiter.ping()
            valkey.config_set("maxmemory", 0)
            await limiter.ping()
            valkey.replicaof("127.0.0.1", free_port())
            with pytest.raises(Unavailable):
                await limiter.ping()
