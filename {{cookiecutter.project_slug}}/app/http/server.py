"""The server, pinned to the options that this service is tested with.

The parser is `deadline_protocol.py`'s: httptools, which refuses what h11 lets pass (both lengths, bare line feeds,
folded headers). Forwarding headers are for `proxies.py` alone, log lines for `core/logging.py`.
"""

import signal
import socket
import sys
from functools import partial
from pathlib import Path

import structlog
from uvicorn import Config, Server
from uvicorn.supervisors import ChangeReload, Multiprocess

from app.http.deadline_protocol import HEAD_SECONDS, DeadlineProtocol

_KEEP_ALIVE_SECONDS = 10
_GRACEFUL_SECONDS = 10
_BACKLOG = 2048
_CANNOT_LISTEN = 1
_log = structlog.get_logger("server")
_SOURCE = Path(__file__).resolve().parents[1]


class _Config(Config):
    def configure_logging(self) -> None:
        """Make SIGTERM an exit; uvicorn calls this in every process.

        Once it has let everything finish, uvicorn raises the signal anew. Its default would end a worker before the log
        is written.
        """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def run_server(  # noqa: PLR0913  # each is an option of the command
    app: str,
    *,
    host: str,
    port: int,
    workers: int = 1,
    reload: bool = False,
    head_seconds: float = HEAD_SECONDS,
    hsts_include_subdomains: bool = True,
) -> None:
    """Serve `app` (an import string) until the process is told to end; exits with 1 where it cannot listen.

    SIGTERM and Ctrl-C let the requests that are under way finish, for ten seconds at the most; then exits with 0.
    """
    listener = _listen(host, port)
    config = _Config(
        app,
        # A partial, and not a subclass: workers and the reloader pickle it.
        http=partial(  # type: ignore[arg-type]
            DeadlineProtocol, head_seconds=head_seconds, hsts_include_subdomains=hsts_include_subdomains
        ),
        ws="none",
        lifespan="on",
        workers=workers,
        reload=reload,
        reload_dirs=[str(_SOURCE)] if reload else None,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
    )
    server = Server(config)
    try:
        if reload:
            ChangeReload(config, target=server.run, sockets=[listener]).run()
        elif workers > 1:
            Multiprocess(config, sockets=[listener]).run()
        else:
            server.run(sockets=[listener])
    except KeyboardInterrupt:
        sys.exit(0)


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else is started, and say in words where that fails."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --host or --port.\n")
        sys.exit(_CANNOT_LISTEN)
    shown = f"[{host}]" if family is socket.AF_INET6 else host
    _log.info("listening", url=f"http://{shown}:{listener.getsockname()[1]}")
    return listener
