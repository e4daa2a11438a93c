"""Where the time of a request goes: `uv run python -m bench.layers` prints what each layer takes, without a server.

The application is called in this process, so what is left out is the server and the network. The microseconds are those
of the processor, the least of several rounds; they belong to this machine. Sign-ins come last.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.types import Message, Scope

from app.main import create_app
from bench.bare import app as bare
from bench.servers import POSTGRESQL, SQLITE, prepared_service

_ROUNDS = 5
_REQUESTS = 1000
_ME, _SIGN_IN = "/api/v1/users/me", "/api/v1/signin"


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.layers", description="Print what each layer takes.")
    parser.add_argument("--database", choices=(SQLITE, POSTGRESQL), default=SQLITE)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # which ends the servers, too
    with (
        prepared_service(parser.parse_args().database) as prepared,
        _environment(prepared.environment),
    ):
        everybody = [{**prepared.credentials, "email": email} for email in prepared.users]
        asyncio.run(_report(create_app(), [json.dumps(each).encode() for each in everybody]))
    return 0


async def _report(app: FastAPI, sign_ins: list[bytes]) -> None:
    async with app.router.lifespan_context(app):
        token = json.loads(await _ask(app, _scope(_SIGN_IN, method="POST"), sign_ins[0]))["access_token"]
        _print("A bare FastAPI route", await _measure(bare, lambda: _scope(_ME)))
        layers = list(app.user_middleware)
        app.user_middleware = []
        before = await _measure_anew(app)
        _print("GET /livez, without middleware", before)
        for layer in reversed(layers):
            app.user_middleware.insert(0, layer)
            now = await _measure_anew(app)
            _print(f"  + {layer.cls.__name__}", now - before)  # type: ignore[attr-defined]  # it is a class
            before = now
        _print("GET /livez", before)
        bearer = (b"authorization", f"Bearer {token}".encode())
        _print(f"GET {_ME}, signed in", await _measure(app, lambda: _scope(_ME, bearer)))
        for at_once in (1, len(sign_ins)):
            _print(f"POST {_SIGN_IN}, {at_once} at once", await _measure_sign_ins(app, sign_ins, at_once))


def _print(name: str, microseconds: float) -> None:
    print(f"{name:<45}{microseconds:>8.1f} µs", file=sys.stderr)


async def _measure_anew(app: FastAPI) -> float:
    app.middleware_stack = None  # is built with the next request
    return await _measure(app, lambda: _scope("/livez"))


async def _measure(app: FastAPI, make: Callable[[], Scope]) -> float:
    """Return the microseconds of the processor that a request takes."""
    best = float("inf")
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for _ in range(_REQUESTS):
            await _ask(app, make())
        best = min(best, (time.process_time() - begin) / _REQUESTS * 1_000_000)
    return best


async def _measure_sign_ins(app: FastAPI, sign_ins: list[bytes], at_once: int) -> float:
    """Return the microseconds that a sign-in takes of the event loop's thread: without the hash, which has its own."""
    best = float("inf")
    for _ in range(_ROUNDS):
        begin = time.thread_time()
        for first in range(0, len(sign_ins), at_once):
            asked = (_ask(app, _scope(_SIGN_IN, method="POST"), body) for body in sign_ins[first : first + at_once])
            await asyncio.gather(*asked)
        best = min(best, (time.thread_time() - begin) / len(sign_ins) * 1_000_000)
    return best


def _scope(path: str, *headers: tuple[bytes, bytes], method: str = "GET") -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json"), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }


async def _ask(app: FastAPI, scope: Scope, body: bytes = b"") -> bytes:
    """Return the content of the answer; raises `RuntimeError` unless it is 200."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    if messages[0]["status"] != 200:
        message = f"{scope['path']} was answered {messages[0]['status']}"
        raise RuntimeError(message)
    return b"".join(message.get("body", b"") for message in messages)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Take the settings of the prepared service, away from any `.env`, and write the log to nowhere."""
    os.environ.update(variables)
    output = sys.stdout
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.chdir(folder)
        sys.stdout = nowhere
        try:
            yield
        finally:
            sys.stdout = output
            os.chdir("/")


if __name__ == "__main__":
    sys.exit(main())
