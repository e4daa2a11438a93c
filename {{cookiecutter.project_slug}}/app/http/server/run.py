"""uvicorn with the options that this service is tested with.

The parser is httptools, which rejects what h11 accepts (both lengths, bare line feeds, folded headers).
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import ChangeReload, Multiprocess

from app.http.server.protocol import CLIENT_SECONDS, ConnectionLimit, DeadlineProtocol

if sys.platform != "win32":
    import resource

_GRACEFUL_SECONDS = 10
# File descriptors that a process needs besides connections: database, log, event loop, imports.
_OWN_FILES = 64
_log = structlog.get_logger("server")


class _Config(Config):
    def configure_logging(self) -> None:
        """Exit at SIGTERM, in every process; its default action would end a worker before the log is written."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def load_app(self) -> Any:
        """Import the application, in the process that serves; that ends with its parent, too."""
        parent = multiprocessing.parent_process()
        if parent is not None:
            threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
        try:
            return super().load_app()
        except Exception as error:
            _log.exception("cannot_start")
            raise SystemExit(STARTUP_FAILURE) from error


def run_server(
    app: str,
    *,
    host: str,
    port: int,
    workers: int = 1,
    reload: bool = False,
    certificate: Path | None = None,
    client_seconds: float = CLIENT_SECONDS,
    hsts_include_subdomains: bool = True,
) -> None:
    """Serve `app` (an import string) until SIGTERM or Ctrl-C.

    `certificate` is a PEM file with a certificate and its key, for HTTPS in development: slow readers are bounded over
    plain HTTP alone. Exits with 1 if it cannot listen, with 3 if the application cannot start, and with 0 after a
    signal, when open requests had ten seconds to finish.
    """
    connections, backlog = connections_and_backlog(_file_limit())
    listener = listen(
        host, port, backlog, scheme="https" if certificate else "http", advice="Choose another with --host or --port."
    )
    config = _Config(
        app,
        # A partial, and not a subclass: workers and the reloader pickle it.
        http=partial(  # type: ignore[arg-type]
            DeadlineProtocol,
            limit=ConnectionLimit(connections),
            client_seconds=client_seconds,
            hsts_include_subdomains=hsts_include_subdomains,
        ),
        ws="none",
        lifespan="on",
        workers=workers,
        reload=reload,
        reload_dirs=[str(Path(__file__).resolve().parents[2])] if reload else None,
        ssl_certfile=certificate,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        backlog=backlog,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        timeout_worker_healthcheck=20,  # longer than a start takes on a busy machine
    )
    try:
        _run(config, listener)
    except KeyboardInterrupt:
        sys.exit(0)


def _run(config: Config, listener: socket.socket) -> None:
    server = Server(config)
    if config.reload:
        ChangeReload(config, target=server.run, sockets=[listener]).run()
    elif config.workers > 1:
        supervisor = Multiprocess(config, sockets=[listener])
        supervisor.run()
        if any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes):
            sys.exit(STARTUP_FAILURE)
    else:
        server.run(sockets=[listener])


def _file_limit() -> int:
    if sys.platform == "win32":
        return sys.maxsize
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def connections_and_backlog(files: int) -> tuple[int, int]:
    """Return how many connections, and what backlog, which is accepted all at once, fit the limit of descriptors."""
    available = max(4, files - _OWN_FILES)
    backlog = min(2048, available // 4)
    return min(1024, available - backlog), backlog


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2 * _GRACEFUL_SECONDS)
    os._exit(STARTUP_FAILURE)


def listen(host: str, port: int, backlog: int, *, scheme: str, advice: str) -> socket.socket:
    """Listen on the port before anything else starts; exits with a message if that fails."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=backlog)
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {host}:{port}: {error.strerror}. {advice}\n")
        sys.exit(1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # not on Windows
        # Connections inherit it: what a client does not read stays where `DeadlineProtocol` sees it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16 * 1024)
    shown = f"[{host}]" if family is socket.AF_INET6 else host
    _log.info("listening", url=f"{scheme}://{shown}:{listener.getsockname()[1]}")
    return listener
