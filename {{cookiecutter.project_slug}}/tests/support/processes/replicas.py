"""Several processes that serve one database, as behind a load balancer."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from tests.support.processes.server import ServerProcess, environment
from tests.support.processes.warm import Command

EMAIL = "admin@service.example"
SECOND = "second@service.example"
PASSWORD = "seven green lamps sing"


@contextmanager
def running_replicas(
    folder: Path, database_url: str, count: int = 2, administrators: Sequence[str] = (EMAIL,), **settings: str
) -> Iterator[list[httpx2.Client]]:
    """Start servers with the same settings, and administrators (with `PASSWORD`); yields a client for each server."""
    shared = {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "DATABASE_URL": database_url,
        "PUBLIC_URL": "http://127.0.0.1",
        **settings,
    }
    with ExitStack() as stack:
        servers = []
        for number in range(count):
            place = folder / f"replica-{number}"
            place.mkdir()
            servers.append(stack.enter_context(ServerProcess(place, head_seconds=None, **shared)))
        for email in administrators:
            create = ("create-admin", "--email", email, "--password-stdin")
            done = Command(create, folder=folder, environment=environment(**shared), stdin=PASSWORD.encode()).end()
            assert done.code == 0, done.err
        yield [stack.enter_context(httpx2.Client(base_url=server.url, timeout=30)) for server in servers]


def sign_in(client: httpx2.Client, password: str = PASSWORD, email: str = EMAIL, **headers: str) -> httpx2.Response:
    """Ask for a sign-in of an administrator."""
    return client.post("/api/v1/signin", json={"email": email, "password": password}, headers=headers)
