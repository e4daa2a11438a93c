"""Shards, on PostgreSQL: writers do not wait for each other, and lose nothing when they are killed."""

import asyncio
import itertools
import re
import secrets
import sys
from collections import Counter
from pathlib import Path

import pytest

from app.core.database.database import Database
from app.features.audit.models import SHARDS
from tests.conftest import StartService
from tests.features.audit.trail.shards.conftest import EACH, of_shard, write, write_anywhere
from tests.support.processes.server import environment
from tests.support.records.trail import (
    stored,
    verified,
)
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database, pytest.mark.asvs("16.4.2")]


async def test_a_held_head_keeps_nobody_waiting(start: StartService, url: str) -> None:
    """Nor do all but one, whichever that is: a writer takes a shard that is free."""
    async with start(database_url=url) as service:
        for shard in (1, SHARDS, 4):
            await write(service[Database], shard)
            assert [row["place"] for row in await of_shard(service, shard)] == [1]
        assert (await verified(service)).flaw is None


async def test_the_order_of_all_is_that_of_the_events(service: Service) -> None:
    """Numbers go on across the shards, and each row names the newest one of another shard."""
    rows = await stored(service)
    assert [row["shard"] for row in rows] == [*range(1, SHARDS + 1)] * EACH
    assert [row["place"] for row in rows] == [place for place in range(1, EACH + 1) for _ in range(SHARDS)]
    for before, row in itertools.pairwise(rows):
        assert row["sequence"] > before["sequence"]
        assert (row["seen"], row["seen_digest"]) == (before["sequence"], before["digest"])


WRITER = """
import asyncio, sys
from app.core.database.database import Database
from app.core.database.migrations import upgrade
from app.core.crypto import KeyRing
from app.core.events import emit_event
from app.assembly import load_settings
from app.features.accounts.events import AccountEvent
from app.features.audit.service import AuditTrail

async def write(database, writer):
    number = 0
    while True:
        number += 1
        async with database.transaction():
            emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success", target_id=f"{sys.argv[1]} {writer} {number}")
        print(writer, number, flush=True)

async def main():
    settings = load_settings()
    database = Database(settings.database_url)
    AuditTrail(database, KeyRing(settings.secret_key))
    await asyncio.gather(*(write(database, writer) for writer in range(4)))

asyncio.run(main())
"""


async def test_sixteen_writers_that_are_killed(start: StartService, url: str, tmp_path: Path) -> None:
    """In the middle of their transactions: what was committed is there once, and every shard is whole."""
    key = secrets.token_urlsafe(64)
    variables = environment(DATABASE_URL=url, SECRET_KEY=key, LOG_LEVEL="ERROR")
    async with start(database_url=url, secret_key=key) as service:
        processes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", WRITER, f"process {number}"),
                env=variables,
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            for number in range(4)
        ]
        outputs = []
        for process in processes:
            assert process.stdout is not None
            outputs.append(b"".join([await process.stdout.readline() for _ in range(20)]))
        assert (await verified(service)).flaw is None  # beside them
        for process in processes:
            process.kill()
        for number, process in enumerate(processes):
            outputs[number] += (await process.communicate())[0]
        rows = await stored(service)
        targets = Counter(row["target_id"] for row in rows)
        assert set(targets.values()) == {1}
        for number, output in enumerate(outputs):
            told = {f"process {number} {line}" for line in re.findall(r"^(\d \d+)$", output.decode(), re.MULTILINE)}
            assert told
            assert told <= set(targets)
        assert len({row["shard"] for row in rows}) > 1
        report = await verified(service)
        assert (report.rows, report.flaw) == (len(rows), None)
        await write_anywhere(service[Database])
