"""A connection without a network: the server's protocol with a transport that only records."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.server import ServerState

from app.http.server.protocol import ConnectionLimit, DeadlineProtocol


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("203.0.113.7", 1), "sockname": ("127.0.0.1", 8000)})
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += bytes(data)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Everything is sent at once."""

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""


@contextmanager
def open_connection(app: ASGIApp) -> Iterator[tuple[DeadlineProtocol, Transport]]:
    """A connection to `app` that has just been opened."""
    config = Config(app, log_config=None, ws="none", proxy_headers=False)
    limit = ConnectionLimit(1)
    protocol = DeadlineProtocol(config=config, server_state=ServerState(), app_state={}, limit=limit, client_seconds=60)
    transport = Transport()
    protocol.connection_made(transport)
    try:
        yield protocol, transport
    finally:
        protocol.connection_lost(None)
