"""Shards whose rows were written without shards, moved to an archive, or confirmed by another key."""

import secrets
from pathlib import Path

import orjson
import pytest
from sqlalchemy import delete

from app.core.database.database import Database
from app.features.audit.models import SHARDS, AuditEvent
from app.features.audit.service import Anchor, Report
from app.features.audit.trail.chain import FIRST_DIGEST, ChainKeys
from tests.conftest import StartService
from tests.features.audit.trail.shards.conftest import EACH, found, of_shard, write, write_anywhere
from tests.features.audit.trail.test_key_changes import ring
from tests.support.records.trail import (
    change,
    disarm,
    execute,
    forge,
    keys_of,
    set_head,
    stored,
    trail_of,
    verified,
)
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database, pytest.mark.asvs("16.4.2")]


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
