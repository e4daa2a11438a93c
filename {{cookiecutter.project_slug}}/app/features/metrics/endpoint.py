"""The port of the metrics: `GET /metrics`, from a thread of the process that was started, beside the service.

Whatever its clients do, the service goes on: one connection in `_PAUSE_SECONDS` is accepted, a few are open at once,
each for `_SECONDS` at most, and the text is made once a second. What waits, waits in the kernel.
"""

import asyncio
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import h11

from app.core.settings.model import Settings
from app.http.server.run import listen

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PAUSE_SECONDS = 0.02
_SECONDS = 5.0
_MOST_AT_ONCE = 8
_HEADERS = (
    ("Connection", "close"),
    ("Content-Type", "text/plain; version=0.0.4; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
)

Render = Callable[[], bytes]


@contextmanager
def metrics_endpoint(settings: Settings, *, several: bool) -> Iterator[None]:
    """Serve the metrics while the block runs, if `METRICS_PORT` is set; exits with a message if it cannot listen.

    With `several`, the processes that the block starts measure, and this one adds up what they leave in a folder.
    """
    os.environ.pop(_FOLDER, None)
    if settings.metrics_port is None:
        yield
        return
    host, advice = str(settings.metrics_host), "Choose another METRICS_PORT or METRICS_HOST."
    listener = listen(host, settings.metrics_port, _MOST_AT_ONCE, scheme="http", advice=advice)
    listener.settimeout(0)
    with listener, TemporaryDirectory(prefix="metrics-") if several else nullcontext() as folder:
        if folder is not None:
            os.environ[_FOLDER] = folder
        serving = _serve(listener, settings, _renderer(folder))
        threading.Thread(target=asyncio.run, args=(serving,), name="metrics", daemon=True).start()
        yield


async def _serve(listener: socket.socket, settings: Settings, render: Render) -> None:
    free, tasks = asyncio.Semaphore(_MOST_AT_ONCE), set()
    while True:
        await free.acquire()
        try:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        except OSError:  # no more files may be opened now
            free.release()
            await asyncio.sleep(_SECONDS)
            continue
        task = asyncio.create_task(_answer(connection, settings, render))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda _: free.release())
        await asyncio.sleep(_PAUSE_SECONDS)


async def _answer(connection: socket.socket, settings: Settings, render: Render) -> None:
    """Answer one request, and close the connection; one that is malformed or slow gets no answer."""
    http, loop = h11.Connection(h11.SERVER), asyncio.get_running_loop()
    with connection, suppress(OSError, h11.ProtocolError):
        async with asyncio.timeout(_SECONDS):
            while (event := http.next_event()) is h11.NEED_DATA:
                http.receive_data(await loop.sock_recv(connection, 4096))
            if isinstance(event, h11.Request):
                status, text = _respond(event, settings, render)
                headers = [*_HEADERS, ("Content-Length", str(len(text)))]
                head = http.send(h11.Response(status_code=status, headers=headers)) or b""
                await loop.sock_sendall(connection, head + text)


def _respond(request: h11.Request, settings: Settings, render: Render) -> tuple[int, bytes]:
    host = next((value.decode("latin-1") for name, value in request.headers if name == b"host"), "")
    if not _is_own(re.sub(r":[0-9]{1,5}\Z", "", host), settings):
        return 403, b"This host is not in ALLOWED_HOSTS.\n"
    if request.target.partition(b"?")[0] != b"/metrics":
        return 404, b"The metrics are at /metrics.\n"
    return (200, render()) if request.method == b"GET" else (405, b"GET is what works here.\n")


def _is_own(host: str, settings: Settings) -> bool:
    """Return whether no page of a stranger can have this host: their DNS could make a name of theirs lead here.

    A scraper comes by address, by a name of one word in its own network, or by one of `ALLOWED_HOSTS`.
    """
    with suppress(ValueError):
        return bool(ip_address(host.strip("[]")))
    return bool(host) and ("." not in host or host.lower() in settings.allowed_hosts)


def _renderer(folder: str | None) -> Render:
    """Make what renders the metrics of this process, or of all that write to the folder."""
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

    registry = CollectorRegistry() if folder else REGISTRY
    if folder:
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]

    @lru_cache(maxsize=1)
    def render(_: int) -> bytes:
        for pid in _ended(folder) if folder else ():
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    return lambda: render(int(time.monotonic()))


def _ended(folder: str) -> Iterator[int]:
    """Yield the processes that left gauges of the living and are gone; what they counted stays counted."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in Path(folder).glob("gauge_live*.db")}:
        try:
            if sys.platform != "win32":  # there, signal 0 is no question
                os.kill(pid, 0)
        except ProcessLookupError:
            yield pid
