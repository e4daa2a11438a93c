"""`app/core/limits.py`: counting, giving back, and refusing when the counters are gone."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import time_machine
from limits import parse
from pydantic import SecretStr

from app.core.clock import utc_now
from app.core.errors import Unavailable
from app.core.limits import Limiter, Verdict, subscriber
from tests.support.processes.server import free_port
from tests.support.servers.valkey import running_valkey, url_of

pytestmark = pytest.mark.anyio

THREE = parse("3/minute")


@pytest.fixture(scope="module")
def redis_url() -> Iterator[SecretStr]:
    """Where Valkey listens."""
    with running_valkey() as server:
        yield SecretStr(url_of(server))


@pytest.fixture(params=["memory", "redis"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[Limiter]:
    """A limiter over either kind of counters."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    limiter = Limiter(url, "test")
    yield limiter
    await limiter.close()


@pytest.mark.asvs("2.4.1")
async def test_allows_up_to_the_limit(limiter: Limiter) -> None:
    """The limit is allowed; one more is refused and told how long to wait."""
    verdicts = [await limiter.hit(THREE, "limit") for _ in range(4)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False]
    assert all(1 <= verdict.retry_after <= 60 for verdict in verdicts)


async def test_counts_each_key_for_itself(limiter: Limiter) -> None:
    """One client's hits are not another's."""
    for _ in range(3):
        await limiter.hit(THREE, "client", "a")
    assert not (await limiter.hit(THREE, "client", "a")).allowed
    assert (await limiter.hit(THREE, "client", "b")).allowed


async def test_gives_back(limiter: Limiter) -> None:
    """A refund makes room for one more and says so, and refunds of nothing make room for none."""
    assert not await limiter.refund(THREE, "refund")
    for _ in range(3):
        await limiter.hit(THREE, "refund")
    assert await limiter.refund(THREE, "refund")
    assert (await limiter.hit(THREE, "refund")).allowed
    assert not (await limiter.hit(THREE, "refund")).allowed


async def test_does_not_count_what_it_refuses(limiter: Limiter) -> None:
    """After many refusals, one refund is enough for one more."""
    for _ in range(10):
        await limiter.hit(THREE, "refused")
    await limiter.refund(THREE, "refused")
    assert (await limiter.hit(THREE, "refused")).allowed


@pytest.mark.asvs("2.3.4")
async def test_parallel_hits_never_exceed_the_limit(limiter: Limiter) -> None:
    """Fifty hits at once: exactly the limit is allowed."""
    verdicts = await asyncio.gather(*(limiter.hit(THREE, "parallel") for _ in range(50)))
    assert sum(verdict.allowed for verdict in verdicts) == 3


async def test_begins_anew_when_the_window_ends(limiter: Limiter) -> None:
    """When the window is over, the limit is there again, and a late refund gives nothing."""
    second = parse("1/second")
    assert (await limiter.hit(second, "window")).allowed
    assert not (await limiter.hit(second, "window")).allowed
    await asyncio.sleep(1.05)
    await limiter.refund(second, "window")
    assert (await limiter.hit(second, "window")).allowed
    assert not (await limiter.hit(second, "window")).allowed


async def test_memory_forgets_windows_that_have_ended() -> None:
    """A flood of clients leaves nothing behind once their windows are over."""
    limiter, second = Limiter(None, "test"), parse("3/second")
    for number in range(1000):
        await limiter.hit(second, str(number))
    await asyncio.sleep(1.05)
    await limiter.hit(second, "late")
    kept = limiter._counters._windows[1]  # noqa: SLF001  # what is kept is the point
    assert len(kept) == 1


async def test_a_clock_that_is_set_back_lengthens_no_window(limiter: Limiter) -> None:
    """A correction of the system's time by an hour does not keep a client waiting for that hour."""
    second = parse("1/second")
    with time_machine.travel(utc_now(), tick=True) as clock:
        assert (await limiter.hit(second, "clock")).allowed
        clock.shift(-3600)
        refused = await limiter.hit(second, "clock")
        assert (refused.allowed, refused.retry_after) == (False, 1)
        await asyncio.sleep(1.05)
        assert (await limiter.hit(second, "clock")).allowed


@pytest.mark.asvs("2.4.1")
async def test_replicas_share_counters(redis_url: SecretStr) -> None:
    """Two limiters over one Redis have one limit between them."""
    one, other = Limiter(redis_url, "test"), Limiter(redis_url, "test")
    verdicts: list[Verdict] = []
    for limiter in (one, other, one, other):
        verdicts.append(await limiter.hit(THREE, "shared"))  # noqa: PERF401  # one after the other
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False]
    await one.close()
    await other.close()


@pytest.mark.asvs("16.5.2", "16.5.3")
async def test_without_redis_nothing_is_allowed() -> None:
    """Where Redis does not answer, every question ends in 503, never in a yes."""
    limiter = Limiter(SecretStr(f"redis://127.0.0.1:{free_port()}/0"), "test")
    for question in (limiter.hit(THREE, "x"), limiter.refund(THREE, "x"), limiter.ping()):
        with pytest.raises(Unavailable) as refusal:
            await question
        assert refusal.value.headers["Retry-After"] == "5"
    await limiter.close()


@pytest.mark.asvs("16.5.2")
async def test_recovers_when_redis_comes_back() -> None:
    """A restart of Redis is an outage only while it lasts."""
    port = free_port()
    limiter = Limiter(SecretStr(f"redis://127.0.0.1:{port}/0"), "test")
    with running_valkey(port):
        await limiter.ping()
    with pytest.raises(Unavailable):
        await limiter.ping()
    with running_valkey(port):
        await limiter.ping()
        assert (await limiter.hit(THREE, "again")).allowed
    await limiter.close()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("unknown", "unknown", True),
    ],
)
def test_subscriber(one: str, other: str, *, same: bool) -> None:
    """A subscriber is an IPv4 address or a /64, however it is written."""
    assert (subscriber(one) == subscriber(other)) is same
