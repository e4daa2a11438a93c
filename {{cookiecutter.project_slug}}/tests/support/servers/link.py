"""A TCP link to a server: it counts what the client sends, and can hang, so that nothing passes or is closed."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from tests.support.processes.server import HOST


class Link:
    """What the client reaches at `port` is the server at another one, until the link is left."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server((HOST, 0))
        self._passes = threading.Event()
        self._passes.set()
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.messages = 0
        """How often the client has sent something: on one connection, that is its round trips."""

    def __enter__(self) -> Self:
        """Begin to listen."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self._passes.set()
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """A block during which nothing passes; what was sent meanwhile arrives after it."""
        self._passes.clear()
        try:
            yield
        finally:
            self._passes.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((HOST, self._server_port))
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target, client), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while received := source.recv(65536):
                self.messages += source is client
                self._passes.wait()
                target.sendall(received)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
