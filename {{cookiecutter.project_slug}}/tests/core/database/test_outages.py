"""A database that does not answer."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from app.core.database.database import Database
from app.features.system.routes import READY_SECONDS
from tests.conftest import StartService
from tests.support.database.postgresql import PostgresqlServer, databases_on, running_postgresql
from tests.support.service import Person, Service, Tokens

pytestmark = pytest.mark.anyio


@pytest.fixture
def mortal() -> Iterator[tuple[PostgresqlServer, str]]:
    """A PostgreSQL server that nobody else needs, and the URL of a database on it."""
    with running_postgresql() as server, databases_on(server.url) as databases:
        yield server, databases.create()


async def assert_unavailable(service: Service, person: Person, tokens: Tokens) -> None:
    """Whatever needs the database says come back later; what does not, goes on."""
    bearer = tokens.bearer
    await asyncio.sleep(READY_SECONDS)
    for answer in (
        await service.client.get("/readyz"),
        await service.whoami(tokens),
        await service.client.patch("/api/v1/users/me", json={"display_name": "Somebody"}, headers=bearer),
        await service.try_sign_in(person.email, person.password),
        await service.try_sign_in("nobody@people.example", "wrong"),
        await service.refresh(tokens.refresh),
        await service.client.post("/oauth/revoke", data={"token": tokens.refresh}, headers=bearer),
    ):
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) >= 1
        assert "The database does not answer" in answer.text
    assert (await service.client.get("/livez")).status_code == 200


@pytest.mark.asvs("16.5.2", "16.5.3")
async def test_a_file_that_is_gone_is_a_503_that_shows_nothing(
    start: StartService, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nobody is let in, nobody is told why; the log has the cause."""
    path = tmp_path / "service.db"
    async with start(database_url=f"sqlite:///{path}") as service:
        person, tokens = await service.signed_in()
        await service[Database].close()
        for file in tmp_path.glob("service.db*"):
            file.unlink()
        path.mkdir()
        await assert_unavailable(service, person, tokens)
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert "database_unavailable" in events


@pytest.mark.asvs("16.5.2", "16.5.3")
async def test_a_server_that_is_gone_is_a_503_and_one_that_is_back_serves(
    start: StartService, mortal: tuple[PostgresqlServer, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """PostgreSQL crashes under the requests, stays away, and is back: without a restart of the service."""
    server, url = mortal
    async with start(database_url=url) as service:
        person, tokens = await service.signed_in()
        for _ in range(2):
            under_way = [asyncio.create_task(service.whoami(tokens)) for _ in range(20)]
            await asyncio.sleep(0.01)
            await asyncio.to_thread(server.stop)
            assert {answer.status_code for answer in await asyncio.gather(*under_way)} <= {200, 503}
            await assert_unavailable(service, person, tokens)
            await asyncio.to_thread(server.start)
            assert (await service.client.get("/readyz")).status_code == 200
            assert (await service.whoami(tokens)).status_code == 200
            await service.sign_in(person)
    log = capsys.readouterr().out
    assert "database_unavailable" in log
    assert str(make_url(url).password) not in log


async def test_nobody_notices_a_restart_between_two_requests(
    start: StartService, mortal: tuple[PostgresqlServer, str]
) -> None:
    """A connection that died in the pool is replaced before it is used, for reading and for writing."""
    server, url = mortal
    async with start(database_url=url) as service:
        person, tokens = await service.signed_in()
        for request in (service.whoami(tokens), service.try_sign_in(person.email, person.password)):
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            assert (await request).status_code == 200
