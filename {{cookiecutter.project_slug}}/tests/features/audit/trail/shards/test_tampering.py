"""What is done to one shard is found by all."""

from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, update

from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.audit.models import SHARDS, AuditEvent, AuditHead
from app.features.audit.service import Anchor
from app.features.audit.trail.chain import FIRST_DIGEST, Head
from tests.features.audit.trail.shards.conftest import EACH, found, of_shard, remove_behind, write
from tests.support.records.trail import (
    change,
    execute,
    head_of,
    set_head,
    stored,
    verified,
)
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database, pytest.mark.asvs("16.4.2")]

FRESH = Head(0, FIRST_DIGEST, b"", b"")


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
