"""Replicas on ports that stay theirs, so that each can be ended, killed and replaced behind one proxy."""

from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.support.processes.server import HOST, ServerProcess, free_port
from tests.support.servers.proxies import NAME, Proxy


class Fleet:
    """Servers with the same settings, each in a folder of its own; as a context manager it starts and ends them."""

    def __init__(self, folder: Path, count: int, **settings: str) -> None:
        self.settings = settings
        self.folders = {free_port(): folder / f"replica-{number}" for number in range(count)}
        self.servers: dict[int, ServerProcess] = {}

    @property
    def ports(self) -> list[int]:
        """Where the replicas listen."""
        return [*self.folders]

    def __enter__(self) -> Self:
        """Start them."""
        try:
            for port, folder in self.folders.items():
                folder.mkdir()
                self.start(port)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every replica."""
        self.stop()

    def start(self, port: int, prelude: str = "") -> None:
        """Start a replica, and wait until it serves."""
        folder = self.folders[port]
        server = ServerProcess(folder, port=str(port), head_seconds=None, prelude=prelude, **self.settings)
        self.servers[port] = server.__enter__()

    def replace_all(self, prelude: str = "") -> None:
        """Restart one after the other; they run that code first."""
        for port in self.ports:
            assert self.servers[port].stop() == 0
            self.start(port, prelude)

    def kill(self, port: int) -> None:
        """End one at once, as a machine that is lost does."""
        self.servers[port].process.kill()
        self.servers[port].process.wait(10)

    def stop(self) -> None:
        """End every replica."""
        for server in self.servers.values():
            server.stop()

    def logs(self) -> list[str]:
        """What each replica has written since it was started."""
        return [server.output() for server in self.servers.values()]


def through(proxy: Proxy, address: str = HOST) -> httpx2.Client:
    """Make a client that comes from an address of this machine through the proxy, with TLS."""
    return httpx2.Client(
        base_url=f"https://localhost:{proxy.port}",
        headers={"Host": NAME},
        transport=httpx2.HTTPTransport(verify=proxy.context, local_address=address),
        timeout=30,
    )


def past_the_proxy(port: int) -> httpx2.Client:
    """Make a client that asks one replica as the proxy does."""
    return httpx2.Client(
        base_url=f"http://{HOST}:{port}", headers={"Host": NAME, "X-Forwarded-Proto": "https"}, timeout=30
    )
