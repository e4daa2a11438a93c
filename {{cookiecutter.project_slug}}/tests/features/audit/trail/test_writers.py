"""Many writers, in several processes, make one chain."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import MakeSettings, StartService
from tests.support.processes.server import environment
from tests.support.records.trail import stored, verified

pytestmark = pytest.mark.anyio

# Half of them in a transaction that also writes something else, the others through the recorder.
WRITER = """
import asyncio, sys
from app.core.database.database import Database
from app.core.events import EventRecord, RequestOrigin
from app.access.guard import AccessEvent
from app.core.clock import utc_now
from app.core.crypto import KeyRing
from app.core.events import emit_event
from app.features.accounts.events import AccountEvent
from app.assembly import load_settings
from app.features.audit.service import AuditTrail

async def in_unit(database, number):
    async with database.transaction():
        emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success", target_id=sys.argv[1], number=number)

async def by_itself(trail, number):
    fields = {"target_id": sys.argv[1], "number": number}
    await trail.record([EventRecord(AccessEvent.ACCESS_DENIED, "denied", fields, utc_now(), RequestOrigin())])

async def main():
    settings = load_settings()
    database = Database(settings.database_url)
    trail = AuditTrail(database, KeyRing(settings.secret_key))
    works = [in_unit(database, n) if n % 2 else by_itself(trail, n) for n in range(50)]
    await asyncio.gather(*works)
    await database.close()

asyncio.run(main())
"""


@pytest.mark.asvs("15.4.1", "16.4.2")
async def test_two_processes_of_fifty_writers_each(
    make_settings: MakeSettings, start: StartService, tmp_path: Path
) -> None:
    """No row is lost, none is there twice, none has the number of another: the chain has no gap and no fork."""
    settings = make_settings()
    variables = environment(
        DATABASE_URL=settings.database_url.get_secret_value(),
        SECRET_KEY=settings.secret_key.get_secret_value(),
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, name, env=variables, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
        )
        for name in ("first", "second")
    ]
    for process in processes:
        _, error = await process.communicate()
        assert process.returncode == 0, error.decode()
    async with start() as service:
        rows = await stored(service)
        assert [row["sequence"] for row in rows] == list(range(1, 101))
        assert Counter(row["target_id"] for row in rows) == {"first": 50, "second": 50}
        assert len({(row["target_id"], row["details"]) for row in rows}) == 100
        report = await verified(service)
        assert (report.rows, report.flaw) == (100, None)
