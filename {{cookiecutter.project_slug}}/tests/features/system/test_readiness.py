"""`/readyz` says what a sign-in would meet: a database or counters that answer, and take no writes, are not ready."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.core.database.database import Database
from app.features.system.routes import READY_SECONDS
from tests.conftest import StartService
from tests.support.processes.server import free_port
from tests.support.servers.valkey import running_valkey, url_of
from tests.support.service import Service

if sys.platform != "win32":
    import resource

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.5.2")]


async def ready(service: Service) -> int:
    """The status of the probe; a sign-in that cannot succeed for another reason has the same one."""
    await asyncio.sleep(READY_SECONDS)
    answer = await service.client.get("/readyz")
    signin = await service.try_sign_in("nobody@people.example", "wrong password canary")
    assert (signin.status_code == 503) is (answer.status_code == 503), (answer.text, signin.text)
    assert ("retry-after" in answer.headers) is (answer.status_code == 503)
    return answer.status_code


async def _set_read_only(database: Database, name: str, value: str) -> None:
    """Have every new session begin read-only, or not, and end the sessions that there are."""
    async with database.read() as db:
        await db.execute(text("SET default_transaction_read_only = off"))
        await db.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}"))
        await db.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        await db.execute(text("RESET default_transaction_read_only"))
    for engine in database._engines:  # noqa: SLF001  # the session above has the settings of before
        await engine.dispose()


async def test_postgresql_that_takes_no_writes_is_not_ready(start: StartService, postgresql_url: str) -> None:
    """As after a failover that left the service at a standby, or with a full disk that somebody made read-only."""
    async with start(database_url=postgresql_url) as service:
        assert await ready(service) == 200
        database, name = service[Database], str(make_url(postgresql_url).database)
        await _set_read_only(database, name, "on")
        assert await ready(service) == 503
        await _set_read_only(database, name, "off")
        assert await ready(service) == 200


@contextmanager
def no_file_grows(beyond: int) -> Iterator[None]:
    """A block in which this process cannot write behind so many bytes of a file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_sqlite_on_a_full_disk_is_not_ready(start: StartService, tmp_path: Path) -> None:
    """The file answers every question, and no commit succeeds."""
    file = tmp_path / "full.db"
    async with start(database_url=f"sqlite+aiosqlite:///{file}") as service:
        assert await ready(service) == 200
        with no_file_grows(beyond=Path(f"{file}-wal").stat().st_size):
            await asyncio.sleep(READY_SECONDS)
            assert (await service.client.get("/readyz")).status_code == 503
        assert await ready(service) == 200


async def test_valkey_that_takes_no_writes_is_not_ready(start: StartService) -> None:
    """Out of memory, or a replica: it answers PING, and every request is refused."""
    with running_valkey() as server, Redis.from_url(url_of(server)) as valkey:
        async with start(redis_url=url_of(server)) as service:
            assert await ready(service) == 200
            valkey.config_set("maxmemory", 1)
            assert await ready(service) == 503
            valkey.config_set("maxmemory", 0)
            assert await ready(service) == 200
            valkey.replicaof("127.0.0.1", free_port())
            assert await ready(service) == 503
