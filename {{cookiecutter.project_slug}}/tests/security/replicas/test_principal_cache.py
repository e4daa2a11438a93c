"""Three replicas on PostgreSQL that keep principals: what ends at one is over at the next request everywhere.

One reaches the database directly, one over a link that can hang, one through PgBouncer in transaction mode.
"""

import asyncio
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count

import asyncpg
import httpx2
import pytest
from sqlalchemy.engine import make_url

from app.core.database.lease import SETTLE_SECONDS
from tests.support.database.databases import migrate
from tests.support.database.pgbouncer import TRANSACTION, running_pgbouncer
from tests.support.database.postgresql import PostgresqlDatabases
from tests.support.processes.replicas import EMAIL, PASSWORD, sign_in
from tests.support.processes.server import ServerProcess, environment
from tests.support.processes.warm import Command
from tests.support.servers.link import Link

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database, pytest.mark.asvs("7.4.1", "7.4.2", "8.3.2")]

ME = "/api/v1/users/me"
USERS = "/api/v1/users"
ROUNDS = 6
WRITERS = 6
END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_people = count()


@dataclass(frozen=True)
class World:
    """The replicas, how they are reached, and an administrator."""

    url: str
    servers: list[ServerProcess]
    clients: list[httpx2.Client]
    link: Link
    admin: dict[str, str]

    def person(self) -> tuple[str, dict[str, str]]:
        """The id of another administrator, and the header with an access token."""
        headers = bearer(sign_in(self.clients[0], email=f"{next(_people)}@people.example"))
        return self.clients[0].get(ME, headers=headers).json()["id"], headers

    def again(self) -> dict[str, str]:
        """The header of a new sign-in of the administrator."""
        return bearer(sign_in(self.clients[0]))


def bearer(answer: httpx2.Response) -> dict[str, str]:
    """The header with the access token of a sign-in."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def copy_administrator(url: str) -> None:
    """Make other accounts with the same password."""
    stranger = await asyncpg.connect(url)
    await stranger.execute(
        """
        INSERT INTO users (id, email, mailbox, password_hash, created_at, verified_at)
        SELECT gen_random_uuid(), n || '@people.example', n || '@people.example', password_hash, created_at, verified_at
        FROM users, generate_series(0, 9) n;
        INSERT INTO user_roles SELECT id, 'admin' FROM users WHERE email LIKE '%@people.example'
        """
    )
    await stranger.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresqlDatabases, pgbouncer: str) -> Iterator[World]:
    """A database with three replicas."""
    folder = tmp_path_factory.mktemp("replicas")
    url = postgresql.create()
    migrate(url)
    secret_key = secrets.token_urlsafe(64)
    with ExitStack() as stack:
        stack.callback(postgresql.drop, url)
        parts = make_url(url)
        link = stack.enter_context(Link(parts.port or 0))
        over_link = parts.set(port=link.port).render_as_string(hide_password=False)
        pooled = stack.enter_context(running_pgbouncer(pgbouncer, url, TRANSACTION, 3))
        servers = []
        for number, each in enumerate((url, over_link, f"{pooled}?pgbouncer=true")):
            place = folder / str(number)
            place.mkdir()
            shared = {"SECRET_KEY": secret_key, "DATABASE_URL": each, "PUBLIC_URL": "http://127.0.0.1"}
            servers.append(
                stack.enter_context(ServerProcess(place, head_seconds=None, SESSIONS_PER_USER="1000", **shared))
            )
        create = ("create-admin", "--email", EMAIL, "--password-stdin")
        settings = environment(DATABASE_URL=url, SECRET_KEY=secret_key)
        assert Command(create, folder=folder, environment=settings, stdin=PASSWORD.encode()).end().code == 0
        asyncio.run(copy_administrator(url))
        clients = [stack.enter_context(httpx2.Client(base_url=server.url, timeout=30)) for server in servers]
        yield World(url, servers, clients, link, bearer(sign_in(clients[0])))


@dataclass
class Load:
    """What the requests of a load were answered: when each was sent, and its status."""

    answers: list[tuple[float, int]] = field(default_factory=list)

    def statuses(self, since: float) -> set[int]:
        """What those were answered that were sent after a moment."""
        return {status for sent, status in self.answers if sent >= since}


@contextmanager
def load(world: World, headers: dict[str, str], *replicas: int, timeout: float = 30) -> Iterator[Load]:
    """A block during which the token is used all the time, at each of the replicas, and a moment longer."""
    result, stop = Load(), threading.Event()

    def ask(number: int) -> None:
        with httpx2.Client(base_url=world.servers[number].url, timeout=timeout) as client:
            while not stop.is_set():
                sent = time.monotonic()
                try:
                    status = client.get(ME, headers=headers).status_code
                except httpx2.TransportError:
                    status = 0
                result.answers.append((sent, status))

    with ThreadPoolExecutor(len(replicas)) as threads:
        running = [threads.submit(ask, number) for number in replicas]
        give_up = time.monotonic() + 20
        while len(result.answers) < 10 * len(replicas) and time.monotonic() < give_up:
            time.sleep(SETTLE_SECONDS)
        try:
            yield result
            time.sleep(3 * SETTLE_SECONDS)
        finally:
            stop.set()
        for each in running:
            each.result()


def sign_out(client: httpx2.Client, headers: dict[str, str]) -> None:
    """End the session of the token."""
    listed = client.get("/api/v1/sessions", headers=headers).json()["items"]
    session = next(row["id"] for row in listed if row["current"])
    assert client.delete(f"/api/v1/sessions/{session}", headers=headers).status_code == 204


def test_principals_are_kept(world: World) -> None:
    """What the other tests show would be no wonder otherwise: many requests ask the database a few times."""
    headers = world.again()
    sent = []
    for _ in range(5):
        before = world.link.messages
        assert {world.clients[1].get(ME, headers=headers).status_code for _ in range(50)} == {200}
        sent.append(world.link.messages - before)
    assert min(sent) < 50


def test_a_session_that_ends_under_load_is_over_everywhere_at_once(world: World) -> None:
    """No request that is sent after the answer to a sign-out is served, at any replica."""
    for number in range(ROUNDS):
        headers = world.again()
        with load(world, headers, 0, 1, 2) as result:
            sign_out(world.clients[number % 3], headers)
            after = time.monotonic()
        assert result.statuses(since=0) == {200, 401}
        assert result.statuses(since=after) == {401}


def test_rights_that_are_taken_under_load_are_gone_everywhere_at_once(world: World) -> None:
    """An account that is disabled, one that loses a role, and one whose password is changed elsewhere."""
    changes = (
        ("PUT", "{0}/{1}/roles", {"roles": ["member"]}),
        ("PATCH", "{0}/{1}", {"disabled": True}),
        ("DELETE", "{0}/{1}", None),
    )
    for number, (method, path, body) in enumerate(changes):
        user_id, headers = world.person()
        with load(world, headers, 0, 1, 2) as result:
            answer = world.clients[number].request(method, path.format(USERS, user_id), json=body, headers=world.admin)
            after = time.monotonic()
        assert answer.is_success, answer.text
        assert result.statuses(since=0) == {200, 401}
        assert result.statuses(since=after) == {401}


async def test_what_another_program_changes_counts_within_a_tenth_of_a_second(world: World) -> None:
    """An operator with `psql` waits for nobody; triggers tell of it all the same."""
    stranger = await asyncpg.connect(world.url)
    for change in ("UPDATE users SET disabled_at = now() WHERE id = $1", "DELETE FROM users WHERE id = $1"):
        user_id, headers = world.person()
        with load(world, headers, 0, 1, 2) as result:
            await stranger.execute(change, user_id)
            after = time.monotonic()
        assert 200 in result.statuses(since=0)
        assert result.statuses(since=after + SETTLE_SECONDS) <= {401}
    await stranger.close()


def test_a_process_that_was_stopped_serves_nothing_from_before(world: World) -> None:
    """It is frozen with everything that it keeps, and continued after the sign-out, when a request waits already."""
    headers = world.again()
    with load(world, headers, 1) as result:
        os.kill(world.servers[1].process.pid, signal.SIGSTOP)
        try:
            sign_out(world.clients[0], headers)
            after = time.monotonic()
            with ThreadPoolExecutor(1) as thread, httpx2.Client(base_url=world.servers[1].url, timeout=30) as client:
                waiting = thread.submit(client.get, ME, headers=headers)
                time.sleep(0.05)
                os.kill(world.servers[1].process.pid, signal.SIGCONT)
                assert waiting.result().status_code == 401
        finally:
            os.kill(world.servers[1].process.pid, signal.SIGCONT)
    assert 200 in result.statuses(since=0)
    assert result.statuses(since=after) <= {401}


async def test_connections_that_are_ended_open_no_gap(world: World) -> None:
    """Every connection of the replicas is ended again and again: sign-outs count at once, and who may is served."""
    stranger = await asyncpg.connect(world.url)
    for number in range(ROUNDS):
        headers = world.again()
        with load(world, headers, 0, 1, 2) as result:
            await stranger.execute(END_ALL)
            for _ in range(3):
                answer = world.clients[number % 3].get("/api/v1/sessions", headers=headers)
                if answer.status_code == 200:
                    break
            sign_out(world.clients[number % 3], headers)
            after = time.monotonic()
        assert result.statuses(since=after) == {401}
    await stranger.close()


async def test_connections_that_are_ended_are_made_anew(world: World) -> None:
    """Writes that come at once when every connection has been ended are done, directly and behind PgBouncer."""
    stranger, headers = await asyncpg.connect(world.url), world.again()

    def write(client: httpx2.Client) -> int:
        return client.patch(ME, json={"display_name": "Ada"}, headers=headers).status_code

    with ThreadPoolExecutor(WRITERS) as pool:
        for client in world.clients * ROUNDS:
            assert {*pool.map(write, [client] * WRITERS)} == {200}
            await stranger.execute(END_ALL)
            assert {*pool.map(write, [client] * WRITERS)} == {200}
    await stranger.close()


def test_a_replica_whose_database_hangs_serves_nothing_that_it_kept(world: World) -> None:
    """Packets are lost: a tenth of a second later nobody is let in; when they arrive, the session is over there too."""
    headers = world.again()
    with load(world, headers, 1, timeout=1) as result:
        with world.link.hanging():
            hangs = time.monotonic()
            sign_out(world.clients[0], headers)
            after = time.monotonic()
            time.sleep(0.5)
        time.sleep(0.5)
    assert 200 in result.statuses(since=0)
    assert 200 not in {status for sent, status in result.answers if sent >= min(after, hangs + SETTLE_SECONDS)}
    assert world.clients[1].get(ME, headers=headers).status_code == 401


async def test_connections_that_are_ended_meanwhile_are_an_outage(world: World) -> None:
    """Each connection is ended all the time, also one that was made just now: a write is done, or 503, and no fault."""
    stranger, headers, statuses = await asyncpg.connect(world.url), world.again(), set[int]()
    end = time.monotonic() + 3

    def write(client: httpx2.Client) -> None:
        while time.monotonic() < end:
            statuses.add(client.patch(ME, json={"display_name": "Ada"}, headers=headers).status_code)

    with ThreadPoolExecutor(9) as pool:
        running = [pool.submit(write, client) for client in world.clients * 3]
        while time.monotonic() < end:
            await asyncio.sleep(0.01)
            await stranger.execute(END_ALL)
        for each in running:
            each.result()
    assert statuses <= {200, 503}
    assert 503 in statuses
    await stranger.close()
