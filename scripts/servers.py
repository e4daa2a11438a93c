"""Compare ASGI servers in one run: what they read, what they wait for, how they end, what they cost (ADR 13).

In a rendered project:

    uv run --with granian --with hypercorn --with zttp python ../scripts/servers.py
"""

import asyncio
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path.cwd()))  # the rendered project

from bench.load import load
from tests.security.raw.test_http import MALFORMED
from tests.support.processes.server import free_port

HOST = "127.0.0.1"
WAIT_SECONDS = 65
HEAD = f"Host: {HOST}\r\n"
GET = f"GET /fast HTTP/1.1\r\n{HEAD}\r\n".encode()
SMUGGLED = f"GET /smuggled HTTP/1.1\r\n{HEAD}\r\n".encode()
# A server does not know which hosts and paths are right: the application refuses those.
OF_THE_APPLICATION = ("host", "encoded", "raw bytes")

APP = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        return
    if scope["method"] == "POST":
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message.get("more_body"):
                break
    if scope["path"] == "/slow":
        await asyncio.sleep(2)
    body = b"x" * 16 * 2**20 if scope["path"] == "/large" else b"path=" + scope["path"].encode()
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
UVICORN = "--log-level=error --no-access-log --no-server-header --loop=uvloop --port={port} measured:app --http="
OURS = "from app.http.server.run import run_server; run_server('measured:app', host='127.0.0.1', port={port})"
GRANIAN = "--interface=asgi --http=1 --no-ws --no-log --loop=uvloop --port={port} measured:app"
SERVERS = {
    "uvicorn, h11": f"-m uvicorn {UVICORN}h11".split(),
    "uvicorn, httptools": f"-m uvicorn {UVICORN}httptools".split(),
    "uvicorn, zttp": f"-m uvicorn {UVICORN}zttp".split(),
    "manage serve": ["-c", OURS],
    "granian": f"-m granian {GRANIAN}".split(),
    "hypercorn": ["-m", "hypercorn", "-k", "uvloop", "--log-level=error", "--bind=127.0.0.1:{port}", "measured:app"],
}


class Server:
    """A server that runs."""

    def __init__(self, name: str, folder: Path, files: int | None = None) -> None:
        """Start it; `files` is how many it may open."""
        self.port = free_port()
        command = [sys.executable, *(argument.format(port=self.port) for argument in SERVERS[name])]
        if files:
            command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        environment = {**os.environ, "PYTHONPATH": f"{Path.cwd()}{os.pathsep}{folder}"}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self) -> None:
        """Until it answers."""
        for _ in range(600):
            with suppress(OSError):
                if b" 200 " in self.ask(GET):
                    return
            time.sleep(0.1)
        raise RuntimeError("The server did not start.")

    def ask(self, *segments: bytes, seconds: float = 0.3) -> bytes:
        """Everything that it answers until it is silent for some time."""
        answer = b""
        with socket.create_connection((HOST, self.port), timeout=5) as connection, suppress(OSError):
            for segment in segments:
                connection.sendall(segment)
                time.sleep(0.05)
            connection.settimeout(seconds)
            while received := connection.recv(65536):
                answer += received
        return answer

    def processes(self) -> list[psutil.Process]:
        """All of its processes."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def keeps(self, client: int) -> bool:
        """Whether it keeps the connection of a client's port open."""
        listed = [one for process in self.processes() for one in process.net_connections("tcp")]
        return any(one.raddr and one.raddr.port == client for one in listed)

    def processor_seconds(self) -> float:
        """The processor time that it has taken."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())

    def memory(self) -> int:
        """Its memory in MiB."""
        return int(sum(process.memory_info().rss for process in self.processes()) // 2**20)


@contextmanager
def running(name: str, folder: Path, files: int | None = None) -> Iterator[Server]:
    """A server that answers."""
    server = Server(name, folder, files)
    try:
        server.wait()
        yield server
    finally:
        with suppress(psutil.NoSuchProcess):
            for process in server.processes():
                process.kill()
        server.process.wait()


def framing(server: Server) -> str:
    """How many malformed requests it answers with 200, and which."""
    sent = {name: raw for name, raw in MALFORMED.items() if not any(word in name for word in OF_THE_APPLICATION)}
    read = [name for name, raw in sent.items() if b" 200 " in server.ask(raw)]
    return f"{len(read)} of {len(sent)}" + "".join(f"; {name}" for name in read)


def upgrade(server: Server) -> str:
    """How often the body of a request to upgrade is answered as a request, or the next request gets no answer."""
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    smuggled = lost = count = 0
    for method in ("GET", "POST", "DELETE"):
        for kind in ("foo", "h2c", "websocket"):
            for framed, body in ((f"Content-Length: {len(SMUGGLED)}", SMUGGLED), ("Transfer-Encoding: chunked", chunk)):
                head = (
                    f"{method} /a HTTP/1.1\r\n{HEAD}Connection: Upgrade\r\nUpgrade: {kind}\r\n{framed}\r\n\r\n".encode()
                )
                for segments in ([head, body], [head + body], [head + body[:9], body[9:]]):
                    answer = server.ask(*segments, GET)
                    count += 1
                    smuggled += b"path=/smuggled" in answer
                    lost += b" 200 " in answer and b"path=/fast" not in answer
    return f"{smuggled} smuggled, {lost} lost, of {count}"


def waits(server: Server) -> str:
    """After how many seconds it closes connections whose clients do nothing; `-`: not within the wait."""
    post = f"POST /fast HTTP/1.1\r\n{HEAD}Content-Length: 9\r\n\r\n".encode()
    sent = {
        "idle": b"",
        "half a head": GET[:-2],
        "half a body": post + b"1",
        "after a request": GET,
        "reads nothing": GET.replace(b"/fast", b"/large"),
    }
    closed: dict[str, str] = {}
    with ExitStack() as kept:
        ports = {}
        for name, raw in sent.items():
            connection = kept.enter_context(socket.create_connection((HOST, server.port)))
            connection.sendall(raw)
            ports[name] = connection.getsockname()[1]
        begun = time.monotonic()
        while ports and time.monotonic() - begun < WAIT_SECONDS:
            time.sleep(0.5)
            for name in [name for name, port in ports.items() if not server.keeps(port)]:
                closed[name] = f"{time.monotonic() - begun:.0f}"
                del ports[name]
    return ", ".join(f"{name} {closed.get(name, '-')}" for name in sent)


def largest_head(server: Server) -> str:
    """The largest head that is read, in KiB."""
    sizes = [2**power for power in range(3, 14)]
    read = [size for size in sizes if b" 200 " in server.ask(GET[:-2] + b"X: " + b"x" * size * 1024 + b"\r\n\r\n")]
    return f"{max(read, default=0)} KiB"


def many(name: str, folder: Path) -> str:
    """Whether it answers while 300 connections are idle and it may open 256 files."""
    with running(name, folder, files=256) as server, ExitStack() as kept:
        for _ in range(300):
            with suppress(OSError):
                kept.enter_context(socket.create_connection((HOST, server.port), timeout=1))
        time.sleep(2)
        answered = 0
        for _ in range(10):
            with suppress(OSError):
                answered += b" 200 " in server.ask(GET)
        return f"{answered} of 10 answered"


def ending(name: str, folder: Path) -> str:
    """Whether a request under way is answered after SIGTERM, and the exit code."""
    with running(name, folder) as server:
        answers: list[bytes] = []
        thread = threading.Thread(target=lambda: answers.append(server.ask(GET.replace(b"fast", b"slow"), seconds=5)))
        thread.start()
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        thread.join()
        return f"answered: {'yes' if b' 200 ' in answers[0] else 'no'}, exit code {server.process.wait(30)}"


def costs(servers: dict[str, Server], rounds: int = 5, seconds: float = 2) -> dict[str, str]:
    """Processor time of a request over 8 connections, in rounds that alternate, and the memory afterwards."""
    measured: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            before = server.processor_seconds()
            result = asyncio.run(load(server.port, GET, connections=8, seconds=seconds))
            measured[name].append((server.processor_seconds() - before) / len(result.seconds))
    medians = {name: statistics.median(costs) for name, costs in measured.items()}
    ours = medians["manage serve"]
    return {
        name: f"{cost * 1e6:.0f} µs, {cost / ours:.2f} x manage serve, {servers[name].memory()} MiB"
        for name, cost in medians.items()
    }


def in_turn(measure: Callable[[Server], str], servers: dict[str, Server]) -> dict[str, str]:
    """The measurement of each server, one after the other."""
    return {name: measure(server) for name, server in servers.items()}


def at_once(measure: Callable[[Server], str], servers: dict[str, Server]) -> dict[str, str]:
    """The measurement of each server, all at the same time."""
    found: dict[str, str] = {}

    def keep(name: str, server: Server) -> None:
        found[name] = measure(server)

    threads = [threading.Thread(target=keep, args=one) for one in servers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main() -> None:
    """Measure, and print each measurement as a list."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        (folder / "measured.py").write_text(APP)
        servers = {name: stack.enter_context(running(name, folder)) for name in SERVERS}
        for title, found in (
            ("Malformed requests that are answered", in_turn(framing, servers)),
            ("Bodies of requests to upgrade", in_turn(upgrade, servers)),
            ("Largest head", in_turn(largest_head, servers)),
            ("Seconds until a client that does nothing is cut off", at_once(waits, servers)),
            ("Processor time of a request, and memory", costs(servers)),
            ("300 idle connections with 256 files", {name: many(name, folder) for name in SERVERS}),
            ("SIGTERM during a request", {name: ending(name, folder) for name in SERVERS}),
        ):
            print(f"\n{title}")
            for name, line in found.items():
                print(re.sub(r"\s+", " ", f"- {name}: {line}"), flush=True)


if __name__ == "__main__":
    main()
