"""`make bench`: ratios, each of two measurements in one run. Exit code 1 where one misses its bound."""

import argparse
import asyncio
import json
import statistics
import sys
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from uvicorn.loops.auto import auto_loop_factory

from app.features.accounts.passwords.hasher import OWASP_ARGON2ID, usable_cores
from bench.load import Result, http_request, load
from bench.servers import Server, Service, prepared_service, running_bare_route, running_service

CONNECTIONS = 8
SIGN_INS_IN_FLIGHT = 64
MEBIBYTE = 1024 * 1024

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Figure:
    """One line of the report, and whether it keeps its bound."""

    name: str
    measured: str
    ratio: str
    bound: str
    kept: bool

    def __str__(self) -> str:
        """Write the line."""
        verdict = "ok" if self.kept else "MISSED"
        return f"{self.name:<38}{self.measured:>18}   {self.ratio:<46}{self.bound:<14}{verdict}"


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the service in ratios.")
    parser.add_argument("--seconds", type=float, default=5, help="how long each measurement takes (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="how often what is compared takes turns (default: 3)")
    arguments = parser.parse_args()
    if arguments.seconds <= 0 or arguments.rounds < 1:
        parser.error("--seconds and --rounds must be above zero")
    kept = True
    for figure in _figures(arguments.seconds, arguments.rounds):
        print(figure, flush=True)
        kept = kept and figure.kept
    return 0 if kept else 1


def _figures(seconds: float, rounds: int) -> Iterator[Figure]:
    with prepared_service() as prepared:
        with running_service(prepared) as service, running_bare_route() as bare:
            servers = {service.server.port: _whoami(service), bare.port: _whoami(service)}
            yield _requests("Signed-in GET /api/v1/users/me", 0.3, servers, seconds, rounds)
            servers[service.server.port] = http_request("GET", "/livez")
            yield _requests("GET /livez, through the whole stack", 0.4, servers, seconds, rounds)
        with running_service(prepared) as service:
            yield from _under_flood(service, seconds)
        with running_service(prepared) as service:
            yield _sign_ins(service, seconds, rounds)


def _requests(name: str, bound: float, requests: Mapping[int, bytes], seconds: float, rounds: int) -> Figure:
    """Measure the request at the first port against that at the second: rounds alternate, the median counts."""
    rates: dict[int, list[float]] = {port: [] for port in requests}
    for _ in range(rounds):
        for port, ask in requests.items():
            result = _run(load(port, ask, connections=CONNECTIONS, seconds=seconds))
            rates[port].append(_rate(result, seconds))
    ours, theirs = (statistics.median(measured) for measured in rates.values())
    ratio = ours / theirs
    return Figure(name, f"{ours:.0f} req/s", f"{ratio:.2f} x a bare route", f">= {bound}", ratio >= bound)


def _sign_ins(service: Service, seconds: float, rounds: int) -> Figure:
    """Sign-ins, with as many always under way, against bare verifications of the same hash, on all cores both."""
    flood = _signin(service)
    sign_ins, raw = [], []
    for _ in range(rounds):
        raw.append(_verifications(seconds))
        result = _run(load(service.server.port, flood, connections=SIGN_INS_IN_FLIGHT, seconds=seconds))
        sign_ins.append(_rate(result, seconds))
    ours, theirs = statistics.median(sign_ins), statistics.median(raw)
    ratio = ours / theirs
    return Figure("Sign-ins", f"{ours:.1f} /s", f"{ratio:.2f} x raw argon2id on the same cores", ">= 0.9", ratio >= 0.9)


def _under_flood(service: Service, seconds: float) -> Iterator[Figure]:
    """Measure another route and the memory while sign-ins are always under way."""
    server, ask, flood = service.server, _whoami(service), _signin(service)
    idle_memory = server.memory()
    idle = _run(load(server.port, ask, connections=1, seconds=seconds))

    async def both() -> tuple[Result, Result]:
        return await asyncio.gather(
            load(server.port, ask, connections=1, seconds=seconds),
            load(server.port, flood, connections=SIGN_INS_IN_FLIGHT, seconds=seconds),
        )

    peak = _Peak(server)
    busy, sign_ins = _run(both())
    grown = (peak.stop() - idle_memory) / MEBIBYTE
    _rate(busy, seconds)
    _rate(sign_ins, seconds)
    ratio = busy.p99() / idle.p99()
    name = f"p99 while {SIGN_INS_IN_FLIGHT} sign-ins are under way"
    yield Figure(name, f"{busy.p99() * 1000:.1f} ms", f"{ratio:.1f} x its idle p99", "<= 5", ratio <= 5)
    yield Figure("Memory meanwhile", f"+{grown:.0f} MiB", "above idle", "<= 80 MiB", grown <= 80)


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


def _signin(service: Service) -> bytes:
    return http_request("POST", "/api/v1/signin", body=json.dumps(service.credentials).encode())


if __name__ == "__main__":
    sys.exit(main())
