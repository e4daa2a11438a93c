"""What is measured: each figure is a ratio of two measurements that take turns in one run."""

import asyncio
import json
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from uvicorn.loops.auto import auto_loop_factory

from app.features.accounts.passwords.hasher import OWASP_ARGON2ID, usable_cores
from bench.load import HOST, Result, http_request, load
from bench.servers import SQLITE, Prepared, Server, Service, prepared_service, running_bare_route, running_service
from tests.support.processes.server import free_port

CONNECTIONS = 8
SIGN_INS = 64
FEW_SIGN_INS = 8
MANY_SIGN_INS = 200
MEBIBYTE = 1024 * 1024

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Figure:
    """A line of the report. `goal` is what is wanted, `bound` what is reached, less a part; `least`: more is better."""

    database: str
    name: str
    value: float
    measured: str
    goal: float
    bound: float
    least: bool = True
    unit: str = ""

    @property
    def reached(self) -> float:
        """How much of the goal is reached: 1 and more if all of it."""
        return self.value / self.goal if self.least else self.goal / max(self.value, 1e-9)

    @property
    def kept(self) -> bool:
        """Whether it is no worse than its bound. If it is, something has become slower, or the machine is busy."""
        return self.value >= self.bound if self.least else self.value <= self.bound

    @property
    def shown(self) -> str:
        """The value as people read it."""
        return f"{self.value:.0f} {self.unit}" if self.unit else f"{self.value:.2f}"

    def limit(self, value: float) -> str:
        """Write a goal or bound."""
        return f"{'≥' if self.least else '≤'} {value:g}{f' {self.unit}' if self.unit else ''}"

    def __str__(self) -> str:
        """Write the line."""
        goal = "reached" if self.reached >= 1 else f"{self.reached:.0%} of it"
        return (
            f"{self.database:<11}{self.name:<50}{self.shown:>8}  goal {self.limit(self.goal):<10}{goal:<12}"
            f"bound {self.limit(self.bound):<10}{'ok' if self.kept else 'MISSED':<8}({self.measured})"
        )


def measure(database: str, seconds: float, rounds: int) -> Iterator[Figure]:
    """Measure every figure of the service on one database."""
    signed_in, bound = (0.5, 0.3) if database == SQLITE else (0.4, 0.25)
    with prepared_service(database) as prepared:
        with running_service(prepared) as service, running_bare_route() as bare:
            asks = {service.server.port: _whoami(service), bare.port: _whoami(service)}
            rates = _rates(asks, seconds, rounds)
            yield _ratio(database, "Signed-in `GET /api/v1/users/me` ÷ a bare FastAPI route", rates, signed_in, bound)
            asks[service.server.port] = http_request("GET", "/livez")
            rates = _rates(asks, seconds, rounds)
            yield _ratio(database, "Anonymous `GET /livez` ÷ the same", rates, 0.7, 0.4)
        with running_service(prepared) as service:
            yield _under_flood(database, service, seconds, rounds)
        with running_service(prepared) as service:
            yield _memory(database, service, seconds)
            yield from _sign_ins(database, service, seconds, rounds)
        with running_service(prepared) as one, running_service(prepared, workers=2) as two:
            rates = _rates({two.server.port: _whoami(two), one.server.port: _whoami(one)}, seconds, rounds)
            yield _ratio(database, "Two workers ÷ one", rates, 1.8, 1.1)
        with ExitStack() as stack:
            yield _scraped(database, prepared, seconds, rounds, stack)
        yield _start(database, prepared, rounds)


def _rates(
    asks: Mapping[int, bytes],
    seconds: float,
    rounds: int,
    during: Callable[[int], AbstractContextManager[object]] = lambda _: nullcontext(),
) -> list[list[float]]:
    """Return requests per second at each port, round by round: in each, all take turns."""
    rates: list[list[float]] = [[] for _ in asks]
    for number in range(rounds):
        # Whoever comes first in one round comes last in the next.
        for measured, (port, ask) in list(zip(rates, asks.items(), strict=True))[:: -1 if number % 2 else 1]:
            with during(port):
                measured.append(_rate(_run(load(port, ask, connections=CONNECTIONS, seconds=seconds)), seconds))
    return rates


def _ratio(database: str, name: str, rates: Sequence[Sequence[float]], goal: float, bound: float) -> Figure:
    """Return the median of the ratios of the rounds."""
    ratio = statistics.median(ours / theirs for ours, theirs in zip(*rates, strict=True))
    return Figure(database, name, ratio, f"{statistics.median(rates[0]):.0f} requests/s", goal, bound)


def _sign_ins(database: str, service: Service, seconds: float, rounds: int) -> Iterator[Figure]:
    """Sign-ins, with as many always under way, against bare verifications of the same hash, on all cores both."""
    flood = _signins(service)
    rates: dict[int, list[float]] = {SIGN_INS: [], FEW_SIGN_INS: []}
    raw = []
    for _ in range(rounds):
        raw.append(_verifications(seconds))
        for at_once, measured in rates.items():
            result = _run(load(service.server.port, *flood, connections=at_once, seconds=seconds, before=seconds / 2))
            measured.append(_rate(result, seconds))
    for (at_once, measured), goal, bound in zip(rates.items(), (0.95, 0.92), (0.65, 0.42), strict=True):
        ratio = statistics.median(ours / theirs for ours, theirs in zip(measured, raw, strict=True))
        name = f"{at_once} sign-ins under way ÷ bare argon2id on the same cores"
        yield Figure(database, name, ratio, f"{statistics.median(measured):.1f} sign-ins/s", goal, bound)


def _under_flood(database: str, service: Service, seconds: float, rounds: int) -> Figure:
    """Measure how long another route takes while sign-ins are always under way."""
    port, ask, flood = service.server.port, _whoami(service), _signins(service)

    async def both() -> tuple[Result, Result]:
        return await asyncio.gather(
            load(port, ask, connections=1, seconds=seconds), load(port, *flood, connections=SIGN_INS, seconds=seconds)
        )

    ratios, busy_p99 = [], []
    for _ in range(rounds):
        idle = _run(load(port, ask, connections=1, seconds=seconds))
        busy, sign_ins = _run(both())
        _rate(busy, seconds)
        _rate(sign_ins, seconds)
        busy_p99.append(busy.p99() * 1000)
        ratios.append(busy.p99() / idle.p99())
    name = f"p99 while {SIGN_INS} sign-ins are under way ÷ idle p99"
    measured = f"{statistics.median(busy_p99):.1f} ms"
    return Figure(database, name, statistics.median(ratios), measured, 3, 8, least=False)


def _memory(database: str, service: Service, seconds: float) -> Figure:
    """Measure what many sign-ins at once take of memory."""
    idle = service.server.memory()
    peak = _Peak(service.server)
    try:
        # Beyond what may wait, the answer is 503.
        _run(load(service.server.port, *_signins(service), connections=MANY_SIGN_INS, seconds=seconds))
    finally:
        grown = max(0, peak.stop() - idle) / MEBIBYTE
    name = f"Memory with {MANY_SIGN_INS} sign-ins under way, above idle"
    return Figure(database, name, grown, f"{idle / MEBIBYTE:.0f} MiB idle", 60, 80, least=False, unit="MiB")


def _scraped(database: str, prepared: Prepared, seconds: float, rounds: int, stack: ExitStack) -> Figure:
    """Measure what it takes to measure: a service whose metrics are read each second, and one without metrics."""
    metrics_port = free_port()
    plain = stack.enter_context(running_service(prepared))
    measured = stack.enter_context(running_service(prepared, METRICS_PORT=str(metrics_port)))
    asks = {measured.server.port: _whoami(measured), plain.server.port: _whoami(plain)}

    def during(port: int) -> AbstractContextManager[object]:
        return _scraping(metrics_port) if port == measured.server.port else nullcontext()

    return _ratio(database, "Scraped each second ÷ without metrics", _rates(asks, seconds, rounds, during), 0.95, 0.7)


@contextmanager
def _scraping(port: int) -> Iterator[None]:
    done = threading.Event()

    def scrape() -> None:
        while True:
            with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
                answer.read()
            if done.wait(1):
                return

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _start(database: str, prepared: Prepared, rounds: int) -> Figure:
    """Measure how long it takes from the start of the process to the first answer."""
    ours, theirs = [], []
    for _ in range(rounds):
        with running_service(prepared) as service:
            ours.append(service.server.start_seconds)
        with running_bare_route() as bare:
            theirs.append(bare.start_seconds)
    ratio = statistics.median(mine / its for mine, its in zip(ours, theirs, strict=True))
    measured = f"{statistics.median(ours):.2f} s"
    return Figure(database, "Start to first answer ÷ the bare route's", ratio, measured, 1.8, 5, least=False)


class _Peak:
    """Watches the memory of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """Return the most that it had, in bytes."""
        self._done.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self._peak = max(self._peak, self._server.memory())


def _verifications(seconds: float) -> float:
    """Raw verifications per second, by as many threads as there are cores."""
    stored = OWASP_ARGON2ID.hash("a password to verify")
    counts = [0] * usable_cores()
    end = time.perf_counter() + seconds

    def verify(place: int) -> None:
        while time.perf_counter() < end:
            OWASP_ARGON2ID.verify("a password to verify", stored)
            counts[place] += 1

    threads = [threading.Thread(target=verify, args=(place,)) for place in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def _run(measurement: Coroutine[Any, Any, _Result]) -> _Result:
    """Run one measurement on the fastest event loop there is."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(measurement)


def _rate(result: Result, seconds: float) -> float:
    """Return requests per second; one that was not answered 200 makes the measurement worthless."""
    if set(result.statuses) != {200}:
        message = f"Not every request was answered 200: {dict(result.statuses)}"
        raise RuntimeError(message)
    return len(result.seconds) / seconds


def _whoami(service: Service) -> bytes:
    return http_request("GET", "/api/v1/users/me", f"Authorization: Bearer {service.access_token()}")


def _signins(service: Service) -> list[bytes]:
    everybody = [{**service.credentials, "email": email} for email in service.users]
    return [http_request("POST", "/api/v1/signin", body=json.dumps(each).encode()) for each in everybody]
