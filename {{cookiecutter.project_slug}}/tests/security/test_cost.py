"""What a stranger's request costs the event loop: little, whatever it holds (ASVS 15.1.3, 15.2.2)."""

import asyncio
import json
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import ASGIApp

from app.access.guard import GuardedRoute
from app.access.roles import Role
from app.core.errors import Problem
from app.core.logging.redaction import redact_text
from app.http.request.body_limit import KIB, MAX_BODY_BYTES, SMALL_BODY
from app.http.request.strict_json import MAX_FIELDS, MAX_ITEMS, parse_json
from app.http.request.well_formed import MAX_HEADER_BYTES, MAX_HEADER_MEMBERS, MAX_TARGET_BYTES
from tests.conftest import StartService
from tests.support.http.asgi import Headers, call, http_scope

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database, pytest.mark.asvs("15.1.3", "15.2.2")]


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    """Measure the service, and not what `make coverage` does at each of its lines."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


TIMES = 5

HOST = [("host", "service.example"), ("sec-fetch-site", "same-origin")]
JSON = [*HOST, ("content-type", "application/json")]
FORM = [*HOST, ("content-type", "application/x-www-form-urlencoded")]


def filled(opening: bytes, part: bytes, closing: bytes, size: int) -> bytes:
    """A text of nearly that size: the part, as often as it fits."""
    return opening + part * ((size - len(opening) - len(closing)) // len(part)) + closing


def keys(size: int) -> bytes:
    """An object with as many keys as fit."""
    return json.dumps(dict.fromkeys([f"{number:x}" for number in range(size // 9)], 1), separators=(",", ":")).encode()


def hostile_json(size: int) -> dict[str, bytes]:
    """Bodies of that size that cost a parser, or what looks at its result, as much as they can."""
    return {
        "lists": filled(b'["A"', b",[]", b"]", size),
        "objects": filled(b'["A"', b",{}", b"]", size),
        "fields": filled(b'["A"', b',{"":1}', b"]", size),
        "numbers": filled(b"[1", b",1", b"]", size),
        "exponents": filled(b"[1", b",1e1", b"]", size),
        "texts": filled(b'["A:"', b',""', b"]", size),
        "escapes": filled(b'["A"', b',"\\u0041"', b"]", size),
        "one text": filled(b'{"email":"', b"\\u0041", b'"}', size),
        "no text": filled(b"", b'"\\"', b"", size),
        "backslashes": filled(b'{"email":"', b"\\\\", b'"}', size),
        "digits": filled(b"[", b"9" * 4000 + b",", b"9]", size),
        "keys": keys(size),
        "allowed keys": keys(MAX_FIELDS * 9),
        "allowed objects": filled(b'["A"', b',{"":1}', b"]", MAX_ITEMS * 7),
        "nested lists": filled(b"[0", b"," + b"[" * 30 + b"]" * 30, b"]", size),
        "nested objects": filled(b"[0", b"," + b'{"":' * 30 + b"1" + b"}" * 30, b"]", size),
        "deep": b"[" * size,
    }


def hostile_forms(size: int) -> dict[str, bytes]:
    """Forms of that size that cost a decoder as much as they can."""
    address = "/oauth/authorize?" + "&".join(f"{number:x}=" for number in range(500))
    return {
        "escapes": filled(b"email=a&password=", b"%41", b"", size),
        "pluses": filled(b"email=a&password=", b"+", b"", size),
        "ampersands": b"&" * size,
        "fields": b"&".join(b"%x=" % number for number in range(size // 6)),
        "fifty": b"&".join(b"f%d=" % number + b"%41" * (size // 170) for number in range(50)),
        "an address": filled(b"email=a&password=b&next=" + quote(address).encode(), b"&", b"", size),
    }


def hostile_headers() -> Iterator[tuple[str, str]]:
    """Header fields that are read by hand, or by the framework, as long as they may be."""
    size = MAX_HEADER_BYTES - 1000
    for name in ("accept", "cookie", "x-forwarded-for", "range", "if-none-match", "content-type", "user-agent"):
        for part in (",", ";", " ", "a;q=1,", '"a",', "__Secure-id=;", "password ", "://:"):
            yield name, part * (size // len(part))
            if members := part.count(",") + part.count(";"):
                # More are refused before anything looks at them.
                yield name, part * (MAX_HEADER_MEMBERS // members)
    for name in ("authorization", "referer", "origin", "sec-fetch-site", "x-request-id"):
        for part in ("Bearer a.", "Basic ", "eyJhbGciOiJIUzI1NiJ9.", "https://a/", ","):
            yield name, part * (size // len(part))
    yield "authorization", "Bearer" + " " * size + "a"
    yield "authorization", "Basic " + "a" * size


def hostile_queries() -> list[bytes]:
    """Queries as long as they may be."""
    size = MAX_TARGET_BYTES - 100
    parts = (b"&", b"%41", b"+", b"a", b"%25", b"=")
    return [
        b"&".join(b"%x=" % number for number in range(size // 6)),
        *(b"next=" + part * (size // len(part)) for part in parts),
        *(name + b"=" + b"%25" * 200 for name in (b"cursor", b"scope", b"state")),
        b"q=" + b"%25" * 100,
    ]


def large_bodies(app: FastAPI) -> list[tuple[str, int]]:
    """Where the API takes a new thing that has more than a few fields, and how large its body may be."""
    routes = [(context.path or "", context.original_route) for context in iter_route_contexts(app.routes)]
    return [
        (path, route.body_limit)
        for path, route in routes
        if isinstance(route, GuardedRoute) and route.body_limit > SMALL_BODY
        if path.startswith("/api/") and route.methods == {"POST"}
    ]


def most_seconds() -> float:
    """Some five milliseconds on a machine of 2026, and on any other what takes it as long.

    It is one and a half times what the parser takes for 144 KiB that are full of keys.
    """
    return 1.5 * fastest(partial(json.loads, keys(144 * KIB)), times=20)


class Ask(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""
    query: bytes = b""


class Loop:
    """Measures how long requests keep the thread of the event loop busy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._most = most_seconds()

    async def held_too_long(self, ask: Ask, usual: float) -> list[str]:
        """Empty if it takes little more than a usual request, which took so many seconds; else what each try took."""
        tries = []
        for _ in range(3 * TIMES):
            # Of two, as the first after a pause waits for memory that the caches have lost.
            spent, most = min(await self._seconds(ask), await self._seconds(ask)) - usual, self._most
            # Other work may have slowed the machine meanwhile: then what the parser takes now is the measure.
            if spent < most or spent < (most := most_seconds()):
                return []
            tries.append(f"{spent * 1000:.2f} of {most * 1000:.2f} ms")
            # A neighbour of this machine may take a moment of it; the next try is behind that.
            await asyncio.sleep(0.2)
        return tries

    async def usual(self, ask: Ask) -> float:
        """What a request takes at least, in seconds."""
        return min([await self._seconds(ask) for _ in range(TIMES)])

    async def _seconds(self, ask: Ask) -> float:
        length = [("content-length", str(len(ask.body)))] if ask.body else []
        scope = http_scope(ask.method, ask.path, headers=[*ask.headers, *length], query_string=ask.query)
        began = time.thread_time()
        answer = await call(self._app, scope, ask.body)
        spent = time.thread_time() - began
        assert answer.status < 500, answer
        return spent


@pytest.mark.parametrize("path", ["/api/v1/signin", "/api/v1/accounts", "/api/v1/accounts/verify"])
async def test_json_of_a_stranger(start: StartService, path: str) -> None:
    """A body of the largest size that is read, and one of a mebibyte, hold the loop for less than five milliseconds."""
    async with start() as service:
        loop = Loop(service.app)
        usual = await loop.usual(Ask("POST", path, JSON, b"{}"))
        for size in (SMALL_BODY, 1024 * 1024):
            for name, body in hostile_json(size).items():
                assert not (held := await loop.held_too_long(Ask("POST", path, JSON, body), usual)), (name, size, held)


async def test_json_of_the_largest_routes(start: StartService) -> None:
    """So does one of the size that only a route which asks for it reads."""
    async with start() as service:
        _, tokens = await service.signed_in(Role.ADMIN)
        headers = [*JSON, ("authorization", tokens.bearer["Authorization"])]
        loop = Loop(service.app)
        found = large_bodies(service.app)
        assert "/api/v1/signin/factor" in dict(found)
        for path, limit in found:
            usual = await loop.usual(Ask("POST", path, headers, b"{}"))
            for name, body in hostile_json(limit).items():
                assert not (held := await loop.held_too_long(Ask("POST", path, headers, body), usual)), (
                    path,
                    name,
                    held,
                )


async def test_forms_of_a_stranger(start: StartService) -> None:
    """Forms, of pages too, and those that are too large."""
    async with start() as service:
        loop = Loop(service.app)
        for path in ("/oauth/token", "/oauth/introspect", "/login", "/register"):
            usual = await loop.usual(Ask("POST", path, FORM, b"email=a&password=b"))
            for size in (SMALL_BODY, 16 * KIB, MAX_BODY_BYTES):
                for name, body in hostile_forms(size).items():
                    assert not (held := await loop.held_too_long(Ask("POST", path, FORM, body), usual)), (
                        path,
                        name,
                        size,
                        held,
                    )


async def test_headers_of_a_stranger(start: StartService) -> None:
    """Cookies, credentials, lists, the addresses of proxies: on a page, an API, a probe, and where nothing is."""
    async with start(trusted_proxies="203.0.113.0/24") as service:
        loop = Loop(service.app)
        for method, path in (("GET", "/login"), ("GET", "/api/v1/users/me"), ("GET", "/livez"), ("POST", "/nothing")):
            usual = await loop.usual(Ask(method, path, HOST))
            for header in hostile_headers():
                ask = Ask(method, path, [*HOST, header])
                assert not (held := await loop.held_too_long(ask, usual)), (path, header[0], header[1][:20], held)


async def test_queries_of_a_stranger(start: StartService) -> None:
    """Parameters, cursors and search texts."""
    async with start() as service:
        _, tokens = await service.signed_in(Role.ADMIN)
        headers = [*HOST, ("authorization", tokens.bearer["Authorization"])]
        loop = Loop(service.app)
        for path in ("/login", "/oauth/authorize", "/livez", "/api/v1/users", "/api/v1/audit"):
            usual = await loop.usual(Ask("GET", path, headers))
            for query in hostile_queries():
                assert not (held := await loop.held_too_long(Ask("GET", path, headers, query=query), usual)), (
                    path,
                    query[:20],
                    held,
                )


@pytest.mark.parametrize("name", sorted(hostile_json(SMALL_BODY).keys() - {"no text", "deep"}))
def test_the_strict_parser_keeps_up_with_the_parser(name: str) -> None:
    """To look for duplicates, depth, numbers and texts takes no more than three times what reading alone takes."""
    for size in (SMALL_BODY, MAX_BODY_BYTES):
        body = hostile_json(size)[name]
        # By turns, so that whatever else the machine does hits both.
        rounds = [
            [fastest(run, times=3) for run in (partial(read_once, body), partial(read_or_refuse, body))]
            for _ in range(30)
        ]
        once, strict = map(min, zip(*rounds, strict=True))
        # In some microseconds it is the calls that are measured.
        assert strict < 4 * (once + 10e-6), size


def read_once(body: bytes) -> None:
    """Parse, and look once at each byte, which a parser that finds one long text does not do one by one."""
    json.loads(body)
    body.count(b",")


def read_or_refuse(body: bytes) -> None:
    """Parse strictly; whether it is refused does not matter."""
    with suppress(Problem):
        parse_json(body)


@pytest.mark.parametrize(
    "part", ["://:", "://a:", "password", "password[", "token.-", "secret   ", "a%40", "cookie=", "\x00", "bearer "]
)
def test_redaction_of_long_texts(part: str) -> None:
    """No text takes longer to be searched for secrets, however often it begins like one."""
    text = part * (100_000 // len(part))
    # By turns, so that whatever else the machine does hits both.
    assert any(fastest(partial(redact_text, text)) < most_seconds() for _ in range(TIMES))


def fastest(run: Callable[[], object], times: int = 30) -> float:
    """The seconds of the fastest of many runs, so that others on the machine do not count."""
    return min(timeit.repeat(run, number=1, repeat=times, timer=time.thread_time))
