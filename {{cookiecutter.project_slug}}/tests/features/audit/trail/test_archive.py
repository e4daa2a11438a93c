"""The oldest rows move to a file: what proved the chain before proves both parts after it."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from sqlalchemy import delete, insert, text
from sqlalchemy.exc import DBAPIError

from app.core.clock import utc_now
from app.core.errors import Conflict
from app.core.events import EventRecord, RequestOrigin
from app.features.audit.models import AuditEvent
from app.features.audit.service import Anchor, Report
from app.features.audit.trail.archive import ArchiveFile
from app.features.audit.trail.chain import End
from tests.conftest import StartService
from tests.support.access import EVENT
from tests.support.records.trail import actions, change, disarm, execute, head_of, moved, stored, trail_of
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.4.2")]


async def grow(service: Service, rows: int = 5) -> None:
    """Add rows."""
    for _ in range(rows):
        await trail_of(service).record([EventRecord(EVENT["signin_failed"], "failure", {}, utc_now(), RequestOrigin())])


async def verify(service: Service, *archives: Path, anchor: Anchor | None = None) -> Report:
    """What a verification says of the archives and of the database."""
    verification = trail_of(service).verification(anchor, archives)
    await verification.begin()
    return await verification.run()


async def copy(service: Service, path: Path, sequence: int) -> Anchor:
    """Copy the rows before one to a file, and have the trail say so."""
    trail = trail_of(service)
    verification = trail.verification(unfinished=True)
    await verification.begin()
    assert (await verification.run()).flaw is None
    (row,) = await stored(service, AuditEvent.sequence == sequence)
    return await trail.archive(verification.archived, row["created_at"], path)


async def archive(service: Service, path: Path, sequence: int) -> Anchor:
    """Move the rows before one to a file."""
    through = await copy(service, path, sequence)
    await trail_of(service).remove_archived(through)
    return through


@pytest.fixture
async def archived(service: Service, tmp_path: Path) -> tuple[Service, Path]:
    """Five rows in a file; behind them, five and the one that says so."""
    await grow(service, 10)
    path = tmp_path / "first.jsonl"
    assert (await archive(service, path, 6)).rows == 5
    return service, path


async def test_both_parts_are_one_chain(archived: tuple[Service, Path]) -> None:
    """The database alone is in order, and says what is archived; with the file, all is read; the service goes on."""
    service, path = archived
    assert [row["sequence"] for row in await stored(service)] == list(range(6, 12))
    assert (await actions(service))[-1] == "audit_archived"
    report = await verify(service)
    assert (report.rows, report.flaw, report.unread) == (6, None, 5)
    report = await verify(service, path)
    assert (report.rows, report.flaw, report.unread) == (11, None, 0)
    await grow(service)
    assert (await verify(service, path)).rows == 16


async def test_several_files_are_read_in_their_order(archived: tuple[Service, Path], tmp_path: Path) -> None:
    """Each begins where the one before ended; one that is left out, or in the wrong place, is missed."""
    service, first = archived
    second = tmp_path / "second.jsonl"
    await archive(service, second, 9)
    assert (await verify(service, first, second)).rows == 12
    assert (await verify(service, second)).unread == 5
    for files, expected in (((first,), 6), ((second, first), 1), ((first, first, second), 1)):
        report = await verify(service, *files)
        assert report.flaw is not None
        assert report.flaw.place == expected


async def test_a_file_that_the_trail_does_not_know(archived: tuple[Service, Path], tmp_path: Path) -> None:
    """Rows that nobody archived are not read from a file instead of the database."""
    service, first = archived
    second, through = tmp_path / "second.jsonl", ArchiveFile(first).ends_at()
    assert through is not None
    ArchiveFile(second).write(through, iter((await stored(service))[:2]))
    report = await verify(service, first, second)
    assert report.flaw is not None
    assert (report.flaw.place, report.rows) == (6, 5)
    assert "the trail does not say so" in str(report.flaw)


async def test_a_file_that_cannot_be_written_to_its_end_is_removed(tmp_path: Path) -> None:
    """So that it is not taken for an archive, and the same command can be run again; an older file stays."""

    def rows() -> Iterator[dict[str, int]]:
        yield {"sequence": 1}
        raise OSError

    path = tmp_path / "stopped.jsonl"
    with pytest.raises(OSError):  # noqa: PT011  # the one of above
        ArchiveFile(path).write(Anchor(), rows())
    assert not path.exists()
    path.write_text("older", encoding="ascii")
    with pytest.raises(FileExistsError):
        ArchiveFile(path).write(Anchor(), rows())
    assert path.read_text(encoding="ascii") == "older"


@pytest.mark.parametrize("line", [1, 3, 5])
async def test_a_changed_file(archived: tuple[Service, Path], line: int) -> None:
    """The first row that is not as it was is named."""
    service, path = archived
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"signin_failed", b"signed_out")
    path.write_bytes(b"".join(lines))
    report = await verify(service, path)
    assert report.flaw is not None
    assert (report.flaw.place, report.rows) == (line, line - 1)


@pytest.mark.parametrize(("kept", "first"), [(slice(0, 4), 4), (slice(0, 1), 1), (slice(1, None), None)])
async def test_a_file_of_which_a_part_is_missing(
    archived: tuple[Service, Path], kept: slice, first: int | None
) -> None:
    """A file that was cut off is noticed; one without its first line is no archive."""
    service, path = archived
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[kept]))
    if first is None:
        with pytest.raises(ValueError, match="no archive"):
            await verify(service, path)
        return
    report = await verify(service, path)
    assert report.flaw is not None
    assert report.flaw.place == first


async def test_what_is_no_json_is_named(archived: tuple[Service, Path]) -> None:
    """A line that cannot be read is a row that cannot be read."""
    service, path = archived
    lines = path.read_bytes().splitlines(keepends=True)
    for garbage in (b"\n", b"[]\n", b"{}\n", b"\xff\n", b'{"sequence":1,"key_id":1,"digest":"","mac":""}\n'):
        path.write_bytes(lines[0] + garbage)
        report = await verify(service, path)
        assert report.flaw is not None
        assert report.flaw.place == 1


async def test_rows_that_are_gone_without_an_archive_are_missed(archived: tuple[Service, Path]) -> None:
    """Whoever can write to the database cannot remove more, nor claim that more is archived."""
    service, _ = archived
    rows = await stored(service)
    await disarm(service)
    await execute(service, delete(AuditEvent).where(AuditEvent.sequence <= 7))
    report = await verify(service)
    assert report.flaw is not None
    assert report.flaw.place == 6
    claim = Anchor((End(7, rows[1]["digest"]), *Anchor().ends[1:]), 7).fields()
    await change(service, 11, details=orjson.dumps(claim).decode())
    report = await verify(service)
    assert report.flaw is not None
    assert report.flaw.place == 11


async def test_a_row_that_is_put_back_is_noticed(archived: tuple[Service, Path]) -> None:
    """In front of the first row, too, where the chain does not reach."""
    service, path = archived
    (row, *_) = await stored(service)
    await disarm(service)
    await execute(service, insert(AuditEvent).values(**moved(row, 3)))
    for archives in ((), (path,)):
        report = await verify(service, *archives)
        assert report.flaw is not None
        assert report.flaw.place == 3


async def test_an_archive_that_was_stopped_is_finished(service: Service, tmp_path: Path) -> None:
    """Between the row that says so and the end of the removal, nothing is lost; the next archive goes on."""
    await grow(service, 10)
    await copy(service, tmp_path / "first.jsonl", 6)
    report = await verify(service)
    assert report.flaw is not None
    assert "ends what was stopped" in str(report.flaw)
    await archive(service, tmp_path / "second.jsonl", 8)
    assert (await verify(service, tmp_path / "first.jsonl", tmp_path / "second.jsonl")).rows == 12


async def test_two_archives_at_once(service: Service, tmp_path: Path) -> None:
    """The second one is refused, for it would say of the same rows that they are in another file."""
    await grow(service, 10)
    await copy(service, tmp_path / "first.jsonl", 6)
    with pytest.raises(Conflict):
        await trail_of(service).archive(Anchor(), utc_now(), tmp_path / "second.jsonl")


async def test_the_newest_row_stays(service: Service, tmp_path: Path) -> None:
    """Of a trail that is all old, what a writer goes on from is left; an empty one has nothing to move."""
    trail = trail_of(service)
    assert await trail.archive(Anchor(), utc_now(), tmp_path / "none.jsonl") == Anchor()
    await grow(service, 3)
    assert (await trail.archive(Anchor(), utc_now(), tmp_path / "all.jsonl")).rows == 2
    assert not (tmp_path / "none.jsonl").exists()


async def test_rows_are_as_undeletable_as_before(archived: tuple[Service, Path]) -> None:
    """The trigger is on again, for rows of which the trail says that they are archived, too."""
    service, _ = archived
    for statement in ("DELETE FROM audit_events", "DELETE FROM audit_events WHERE sequence = 6"):
        with pytest.raises(DBAPIError, match="the audit trail only grows"):
            await execute(service, text(statement))
    assert (await head_of(service)).place == 11


async def test_an_anchor_of_a_row_that_is_archived(archived: tuple[Service, Path]) -> None:
    """With the file it is compared; without, it says to name the file; the last archived row needs none."""
    service, path = archived
    digests = [orjson.loads(line).get("digest") for line in path.read_bytes().splitlines()]
    third, fifth = Anchor.parse(f"3/{digests[3]}"), Anchor.parse(f"5/{digests[5]}")
    assert (await verify(service, path, anchor=third)).flaw is None
    assert "name its file" in str((await verify(service, anchor=third)).flaw)
    assert (await verify(service, anchor=fifth)).flaw is None
    for wrong in (Anchor.parse(f"{place}/{bytes(32).hex()}") for place in (3, 5)):
        assert (await verify(service, path, anchor=wrong)).flaw is not None
        assert (await verify(service, anchor=wrong)).flaw is not None


async def test_files_outlive_their_key(start: StartService, tmp_path: Path) -> None:
    """When the key of their rows is gone, the row in which a later key confirmed the trail confirms them."""
    old, new = (secrets.token_urlsafe(64) for _ in range(2))
    path = tmp_path / "old.jsonl"
    async with start(secret_key=old) as service:
        await grow(service, 10)
        await archive(service, path, 6)
    async with start(secret_key=new, secret_key_fallbacks=(old,)) as service:
        await grow(service, 1)
    async with start(secret_key=new) as service:
        assert (await verify(service, path)).flaw is None
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"failure", b"success"), *lines[4:]]))
        assert str((await verify(service, path)).flaw).startswith("Row 3 of shard 1 was changed")
