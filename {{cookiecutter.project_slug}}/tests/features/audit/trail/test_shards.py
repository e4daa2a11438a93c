"""Shards, on PostgreSQL: writers do not wait for each other, and what is done to one shard is found by all."""

import asyncio
import itertools
import re
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import delete, insert, select, update

from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.database.migrations import upgrade
from app.core.events import emit_event
from app.features.accounts.events import AccountEvent
from app.features.audit.models import SHARDS, AuditEvent, AuditHead
from app.features.audit.service import Anchor, AuditTrail, Report
from app.features.audit.trail.chain import FIRST_DIGEST, ChainKeys, Head
from tests.conftest import StartService
from tests.features.audit.trail.test_key_changes import ring
from tests.support.databases import dsn_of
from tests.support.postgresql import PostgresqlDatabases
from tests.support.server import environment
from tests.support.service import Service
from tests.support.trail import (
    Row,
    change,
    disarm,
    disarm_database,
    execute,
    forge,
    head_of,
    keys_of,
    set_head,
    stored,
    trail_of,
    verified,
)

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database, pytest.mark.asvs("16.4.2")]

FRESH = Head(0, FIRST_DIGEST, b"", b"")
EACH = 3
KEY = secrets.token_urlsafe(64)


@pytest.fixture(scope="module")
def migrated(postgresql: PostgresqlDatabases) -> Iterator[str]:
    """A database with the current schema, to be copied."""
    created = postgresql.create()
    try:
        asyncio.run(upgrade(dsn_of(created)))
        yield created
    finally:
        postgresql.drop(created)


@pytest.fixture(scope="module")
def grown(migrated: str, postgresql: PostgresqlDatabases) -> Iterator[str]:
    """A database with three rows in each shard, by turns, and no trigger, to be copied."""

    async def grow() -> None:
        database = Database(dsn_of(created))
        AuditTrail(database, ring(KEY))
        for shard in (*range(1, SHARDS + 1),) * EACH:
            await write(database, shard)
        await disarm_database(database)
        await database.close()

    created = postgresql.create(migrated)
    try:
        asyncio.run(grow())
        yield created
    finally:
        postgresql.drop(created)


@pytest.fixture
def url(migrated: str, postgresql: PostgresqlDatabases) -> Iterator[str]:
    """An empty trail on PostgreSQL."""
    created = postgresql.create(migrated)
    try:
        yield created
    finally:
        postgresql.drop(created)


@pytest.fixture
async def service(start: StartService, grown: str, postgresql: PostgresqlDatabases) -> AsyncIterator[Service]:
    """Three rows in each shard, by turns; no trigger is in the way."""
    created = await asyncio.to_thread(postgresql.create, grown)
    try:
        async with start(database_url=created, secret_key=KEY) as running:
            yield running
    finally:
        await asyncio.to_thread(postgresql.drop, created)


async def write(database: Database, shard: int) -> None:
    """Add an event while all shards but one are held."""
    async with database.transaction() as db:
        await db.execute(select(AuditHead.id).where(AuditHead.id != shard).with_for_update())
        await write_anywhere(database)


async def write_anywhere(database: Database) -> None:
    """Add an event."""
    async with database.transaction():
        emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success", number=1)


async def of_shard(service: Service, shard: int) -> list[Row]:
    """The rows of a shard, in their order."""
    return await stored(service, AuditEvent.shard == shard)


async def remove_behind(service: Service, shard: int, place: int) -> None:
    """Delete the rows of a shard behind a place."""
    await execute(service, delete(AuditEvent).where(AuditEvent.shard == shard, AuditEvent.place > place))


async def found(service: Service, anchor: Anchor | None = None) -> tuple[int, int]:
    """Shard and place of the first flaw."""
    report = await verified(service, anchor)
    assert report.flaw is not None
    assert str(report.flaw).startswith(f"Row {report.flaw.place} of shard {report.flaw.shard} ")
    return report.flaw[:2]


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


CHANGES: tuple[tuple[str, object], ...] = (
    ("shard", 99),
    ("shard", None),
    ("place", 40),
    ("place", None),
    ("seen", 1),
    ("seen", None),
    ("seen_digest", bytes(32)),
    ("sequence", 1000),
    ("created_at", utc_now()),
    ("action", "signed_out"),
    ("outcome", "failure"),
    ("actor_id", uuid4()),
    ("session_id", uuid4()),
    ("target_type", "session"),
    ("target_id", "another"),
    ("ip", "192.0.2.1"),
    ("user_agent", "Nine"),
    ("request_id", "0" * 32),
    ("details", "{}"),
    ("key_id", b"\0\0\0\0"),
    ("digest", bytes(32)),
    ("mac", bytes(32)),
)


async def test_a_changed_column(service: Service) -> None:
    """Where a row is, which one it saw, and what it says: each counts."""
    assert {column for column, _ in CHANGES} == set(AuditEvent.__table__.columns.keys())
    (_, row, _) = await of_shard(service, 5)
    for column, value in CHANGES:
        await change(service, row["sequence"], **{column: value})
        report = await verified(service)
        assert report.flaw is not None, column
        assert report.rows < EACH * SHARDS
        await change(service, 1000 if column == "sequence" else row["sequence"], **{column: row[column]})
        assert (await verified(service)).flaw is None


async def test_rows_that_are_swapped_between_shards(service: Service) -> None:
    """In the same place of their shards, and with everything else that they hold; two whole shards, too."""
    (_, third, _), (_, sixth, _) = await of_shard(service, 3), await of_shard(service, 6)
    for row, shard in ((third, 99), (sixth, 3), (third, 6)):
        await change(service, row["sequence"], shard=shard)
    assert await found(service) == (6, 2)
    for row in (third, sixth):
        await execute(service, delete(AuditEvent).where(AuditEvent.sequence == row["sequence"]))
    for row, other in ((third, sixth), (sixth, third)):
        place = {name: other[name] for name in ("sequence", "shard", "place")}
        await execute(service, insert(AuditEvent).values(**{**row, **place}))
    assert await found(service) == (3, 2)


async def test_two_shards_that_change_places(service: Service) -> None:
    """With their heads."""
    heads = [await head_of(service, shard) for shard in (3, 6)]
    for old, new in ((3, 93), (6, 3), (93, 6)):
        await execute(service, update(AuditEvent).where(AuditEvent.shard == old).values(shard=new))
    for head, shard in zip(heads, (6, 3), strict=True):
        await set_head(service, head, shard)
    assert await found(service) == (6, 1)


async def test_a_tail_of_one_shard_that_is_cut_off(service: Service) -> None:
    """The first row of another shard that saw the last one says so, before the head does."""
    await remove_behind(service, 7, 1)
    assert await found(service) == (8, 2)
    report = await verified(service)
    assert "not there any more" in str(report.flaw)


async def test_a_tail_that_no_other_shard_has_seen(service: Service) -> None:
    """The head alone says what was there."""
    await remove_behind(service, SHARDS, EACH - 1)
    assert await found(service) == (SHARDS, EACH)


async def test_a_shard_that_is_put_back_with_its_genuine_head(service: Service) -> None:
    """The next row of another shard saw what was there; that the service goes on does not hide it."""
    older, rows = await head_of(service, 4), await of_shard(service, 4)
    await write(service[Database], 4)
    for shard in (5, 4, 6):
        await write(service[Database], shard)
    assert (await verified(service)).flaw is None
    await remove_behind(service, 4, len(rows))
    await set_head(service, older, 4)
    assert await found(service) == (5, 4)
    for shard in (4, 4, 5):
        await write(service[Database], shard)
    assert await found(service) == (5, 4)
    # Nor if the numbers are given anew.
    await remove_behind(service, 4, len(rows))
    await set_head(service, older, 4)
    lost = (await of_shard(service, 5))[-2]["seen"]
    await execute(service, f"SELECT setval('audit_events_number', {lost}, false)")
    await write(service[Database], 4)
    assert await found(service) == (5, 4)


@pytest.mark.parametrize("head", [None, FRESH])
async def test_a_shard_that_is_removed_with_its_head(service: Service, head: Head | None) -> None:
    """As if it had never been written to, too; and of a whole trail, an anchor says what there was."""
    anchor = (await verified(service)).anchor
    await remove_behind(service, 2, 0)
    if head is None:
        await execute(service, delete(AuditHead).where(AuditHead.id == 2))
    else:
        await set_head(service, head, 2)
    assert await found(service) == (3, 1)
    # The service goes on, in the other shards and in this one.
    await write(service[Database], 1)
    assert (await verified(service)).flaw is not None
    await execute(service, delete(AuditEvent))
    for shard in range(1, SHARDS + 1):
        await set_head(service, FRESH, shard)
    if head is not None:
        assert (await verified(service)).flaw is None
        assert await found(service, anchor) == (1, 1)


async def test_an_anchor_has_a_part_for_each_shard(service: Service) -> None:
    """Each is compared: a state from before it, put back as a whole, is found in every one."""
    heads = {shard: await head_of(service, shard) for shard in range(1, SHARDS + 1)}
    await write(service[Database], 3)
    anchor = (await verified(service)).anchor
    assert anchor is not None
    assert Anchor.parse(str(anchor)) == anchor
    assert str(anchor).count(",") == SHARDS - 1
    await write(service[Database], 8)
    assert (await verified(service, anchor)).flaw is None
    for shard in (3, 8):
        await remove_behind(service, shard, EACH)
        await set_head(service, heads[shard], shard)
    assert (await verified(service)).flaw is None
    assert await found(service, anchor) == (3, EACH + 1)
    assert (await verified(service, Anchor.parse(f",,{anchor.ends[2]}"))).flaw is not None
    assert (await verified(service, Anchor.parse(str(anchor.ends[0])))).flaw is None


async def test_rows_that_a_version_without_shards_wrote(start: StartService, url: str) -> None:
    """They are the beginning of the first shard, hashed as they were: an old anchor and a changed row show it."""
    async with start(database_url=url) as service:
        await disarm(service)
        await write(service[Database], 1)
        (row,) = await stored(service)
        await execute(service, delete(AuditEvent))
        keys, digest = keys_of(service), FIRST_DIGEST
        for sequence in (1, 2, 3):
            whole = {**row, "shard": None, "place": None, "ip": f"192.0.2.{sequence}"}
            digest = (await forge(service, keys, sequence, whole, behind=digest))["digest"]
        await set_head(service, ChainKeys(keys).head(3, digest))
        anchor = (await verified(service)).anchor
        for shard in (2, 1, 1):
            await write(service[Database], shard)
        assert [(row["shard"], row["place"]) for row in await stored(service)][3:] == [(2, 1), (1, 4), (1, 5)]
        report = await verified(service, anchor)
        assert (report.rows, report.flaw) == (6, None)
        await change(service, 3, ip="192.0.2.9")
        assert await found(service) == (1, 3)


async def archived(service: Service, path: Path, rows: int) -> Anchor:
    """Move the oldest rows to a file."""
    verification = trail_of(service).verification(unfinished=True)
    await verification.begin()
    assert (await verification.run()).flaw is None
    before = (await stored(service))[rows]["created_at"]
    end = await trail_of(service).archive(verification.archived, before, path)
    await trail_of(service).remove_archived(end)
    return end


async def verify(service: Service, *archives: Path, anchor: Anchor | None = None) -> Report:
    """What a verification says of the archives and of the database."""
    verification = trail_of(service).verification(anchor, archives)
    await verification.begin()
    return await verification.run()


async def test_an_archive_ends_in_each_shard(service: Service, tmp_path: Path) -> None:
    """Shards that end elsewhere, or have nothing but old rows, go on; several files are read in their order."""
    anchor = (await verified(service)).anchor
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert [end.place for end in (await archived(service, first, 12)).ends] == [2] * 4 + [1] * 4
    for _ in range(5):
        await write(service[Database], 6)
    # Behind the first 14 of those that stay: the last one of each shard, and the mark in the first.
    assert [end.place for end in (await archived(service, second, 14)).ends] == [3, 2, 2, 2, 2, 4, 2, 2]
    total = EACH * SHARDS + 5 + 2
    assert (await verify(service, first, second, anchor=anchor)).rows == total
    report = await verify(service)
    assert (report.rows, report.flaw, report.unread) == (total - 19, None, 19)
    for files in ((first,), (second, first)):
        assert (await verify(service, *files)).flaw is not None
    for shard in (1, 6):
        await write(service[Database], shard)
    assert (await verify(service, first, second)).rows == total + 2


async def test_an_archive_of_one_shard_alone(service: Service, tmp_path: Path) -> None:
    """Rows of the others are missing: in the file, and in what the trail says about it."""
    path = tmp_path / "archive.jsonl"
    await archived(service, path, 16)
    head, *lines = path.read_bytes().splitlines(keepends=True)
    one = [line for line in lines if orjson.loads(line)["shard"] == 1]
    path.write_bytes(b"".join([head, *one]))
    report = await verify(service, path)
    assert report.flaw is not None
    assert report.flaw[:2] == (2, 1) or report.flaw.what == "is missing"
    path.write_bytes(b"".join([head, *(line for line in lines if line not in one)]))
    report = await verify(service, path)
    assert report.flaw is not None
    assert report.flaw[:2] == (1, 1)


async def test_another_key_confirms_every_shard(start: StartService, url: str) -> None:
    """With the next events, one in each; or at once. After that, the earlier key is needed no more."""
    old, new, newest = (secrets.token_urlsafe(64) for _ in range(3))
    async with start(database_url=url, secret_key=old) as service:
        for shard in (1, 2, 5):
            await write(service[Database], shard)
    async with start(database_url=url, secret_key=new, secret_key_fallbacks=(old,)) as service:
        for _ in range(3):
            await write_anywhere(service[Database])
        marks = await stored(service, AuditEvent.action == "audit_key_changed")
        assert [(row["shard"], row["place"], row["outcome"]) for row in marks] == [
            (shard, 2, "success") for shard in (1, 2, 5)
        ]
        assert (await verified(service, keys=ring(new))).flaw is None
    async with start(database_url=url, secret_key=newest, secret_key_fallbacks=(new,)) as service:
        for expected in (3, 0):
            async with service[Database].transaction() as db:
                assert await trail_of(service).reseal(db, limit=10) == expected
        assert (await verified(service, keys=ring(newest))).flaw is None
        await disarm(service)
        await change(service, (await of_shard(service, 5))[0]["sequence"], ip="192.0.2.1")
        assert await found(service) == (5, 1)


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


async def test_an_older_backup_over_a_newer_state(service: Service) -> None:
    """With the numbers as they were then, the service goes on; an anchor from before says what is gone."""
    rows = await stored(service)
    heads = {shard: await head_of(service, shard) for shard in range(1, SHARDS + 1)}
    for shard in (2, 7):
        await write(service[Database], shard)
    anchor = (await verified(service)).anchor
    await execute(service, delete(AuditEvent))
    await execute(service, insert(AuditEvent).values(rows))
    for shard, head in heads.items():
        await set_head(service, head, shard)
    await execute(service, "SELECT setval('audit_events_number', 1, false)")
    await write(service[Database], 3)
    assert (await verified(service)).flaw is None
    assert (await stored(service))[-1]["sequence"] > rows[-1]["sequence"]
    assert await found(service, anchor) == (2, EACH + 1)
