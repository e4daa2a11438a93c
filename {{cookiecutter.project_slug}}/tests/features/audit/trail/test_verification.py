"""Whoever tampers with the trail, and has no key, is found: the first row that is not as it was is named."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, insert

from app.core.clock import utc_now
from app.core.crypto import KeyRing
from app.features.audit.models import AuditEvent, AuditHead
from app.features.audit.service import Anchor
from app.features.audit.trail.chain import FIRST_DIGEST, Head
from tests.support.records.trail import (
    actions,
    change,
    disarm,
    execute,
    forge,
    head_of,
    moved,
    remove,
    set_head,
    stored,
    verified,
)
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.4.2")]

ANOTHER_KEY = KeyRing(SecretStr("the key of somebody who is not the service" * 3))
CHANGES: dict[str, Any] = {
    "created_at": utc_now() - timedelta(days=400),
    "action": "signin_succeeded",
    "outcome": "success",
    "actor_id": uuid4(),
    "session_id": uuid4(),
    "target_type": "session",
    "target_id": None,
    "ip": "192.0.2.1",
    "user_agent": "Nine",
    "request_id": "0" * 32,
    "details": '{"user_id":null}',
    "shard": 2,
    "place": 40,
    "seen": 3,
    "seen_digest": bytes(32),
    "key_id": b"\0\0\0\0",
    "digest": bytes(32),
    "mac": bytes(32),
}


@pytest.fixture
async def trail(service: Service) -> Service:
    """Ten rows: two accounts were made, then eight sign-ins failed; and no trigger is in the way."""
    people = [await service.person() for _ in range(2)]
    for number in range(8):
        answer = await service.try_sign_in(
            people[number % 2].email, "not the password", headers={"User-Agent": "Eight"}
        )
        assert answer.status_code == 401
    await disarm(service)
    report = await verified(service)
    assert (report.rows, report.flaw) == (10, None)
    return service


async def first_flaw(service: Service, anchor: Anchor | None = None) -> int:
    """The number of the first row that is not in order."""
    report = await verified(service, anchor)
    assert report.flaw is not None
    assert report.anchor is None
    assert report.rows == report.flaw.place - 1
    return report.flaw.place


async def try_once(service: Service) -> None:
    """One more event."""
    await service.try_sign_in("nobody@people.example", "not the password")


def test_every_column_is_tried() -> None:
    """A column that is added must be in the test below, and in what is hashed."""
    assert set(CHANGES) == set(AuditEvent.__table__.columns.keys()) - {"sequence"}


@pytest.mark.parametrize("column", CHANGES)
async def test_a_changed_column(trail: Service, column: str) -> None:
    """Every column counts, the proof itself too."""
    await change(trail, 5, **{column: CHANGES[column]})
    report = await verified(trail)
    assert report.flaw is not None
    assert report.rows == 4


async def test_deleted_rows(trail: Service) -> None:
    """The tail, one in the middle, the first, all: the first that is missing is named."""
    await remove(trail, 8, 9, 10)
    assert await first_flaw(trail) == 8
    await remove(trail, 4)
    assert await first_flaw(trail) == 4
    await remove(trail, 1)
    assert await first_flaw(trail) == 1
    await execute(trail, delete(AuditEvent))
    assert await first_flaw(trail) == 1


async def test_a_gap_that_is_closed(trail: Service) -> None:
    """Numbering the rest anew does not help."""
    await remove(trail, 4)
    for sequence in range(5, 11):
        await change(trail, sequence, sequence=sequence - 1)
    await set_head(trail, (await head_of(trail))._replace(place=9))
    assert await first_flaw(trail) == 4


async def test_a_cut_tail_with_a_head_to_match(trail: Service) -> None:
    """The head has a MAC of its own; one of a row, or of another number, is none."""
    head = await head_of(trail)
    await remove(trail, 8, 9, 10)
    (row,) = await stored(trail, AuditEvent.sequence == 7)
    for mac in (row["mac"], head.mac, b""):
        await set_head(trail, Head(7, row["digest"], head.key_id, mac))
        assert await first_flaw(trail) == 7


async def test_a_head_that_is_gone(trail: Service) -> None:
    """Nothing then says how many rows there were; and the next writer leaves a mark."""
    await execute(trail, delete(AuditHead))
    assert await first_flaw(trail) == 11
    await try_once(trail)
    assert (await actions(trail))[-2:] == ["audit_chain_broken", "signin_failed"]
    report = await verified(trail)
    assert report.flaw is not None
    assert report.rows == 10


async def test_an_inserted_row(trail: Service) -> None:
    """Before the first, and behind the last; whatever it says of itself."""
    (row,) = await stored(trail, AuditEvent.sequence == 10)
    await execute(trail, insert(AuditEvent).values(**moved(row, 11)))
    assert await first_flaw(trail) == 11
    await remove(trail, 11)
    await execute(trail, insert(AuditEvent).values(**moved(row, 0)))
    assert (await verified(trail)).flaw == (1, 0, "was inserted")


async def test_swapped_rows(trail: Service) -> None:
    """Each is genuine, and none is in its place."""
    for old, new in ((4, 40), (6, 4), (40, 6)):
        await change(trail, old, sequence=new)
    assert await first_flaw(trail) == 4


@pytest.mark.parametrize("sequence", [1, 5, 10])
async def test_a_row_forged_with_another_key(trail: Service, sequence: int) -> None:
    """In itself it is whole, and fits behind the one before."""
    rows = await stored(trail)
    before = rows[sequence - 2]["digest"] if sequence > 1 else FIRST_DIGEST
    forged = await forge(trail, ANOTHER_KEY, sequence, rows[sequence - 1], behind=before)
    assert await first_flaw(trail) == sequence
    # Nor under the name of the right key.
    await change(trail, sequence, key_id=rows[0]["key_id"])
    assert await first_flaw(trail) == sequence
    await change(trail, sequence, key_id=forged["key_id"])
    # Nor with every later row forged to fit.
    for row in rows[sequence:]:
        forged = await forge(trail, ANOTHER_KEY, row["sequence"], row, behind=forged["digest"])
    await set_head(trail, Head(10, forged["digest"], forged["key_id"], forged["mac"]))
    assert await first_flaw(trail) == sequence
    # Nor when the service itself goes on behind it.
    await try_once(trail)
    assert (await verified(trail)).flaw is not None


async def test_a_cut_tail_stays_visible_when_the_service_goes_on(trail: Service) -> None:
    """The next writer neither closes the gap nor takes the head for genuine, and leaves a mark."""
    (row,) = await stored(trail, AuditEvent.sequence == 7)
    head = await head_of(trail)
    await remove(trail, 8, 9, 10)
    await try_once(trail)
    assert [row["sequence"] for row in await stored(trail)][-2:] == [11, 12]
    assert await first_flaw(trail) == 8
    await remove(trail, 11, 12)
    await set_head(trail, Head(7, row["digest"], head.key_id, head.mac))
    await try_once(trail)
    assert (await actions(trail))[-2:] == ["audit_chain_broken", "signin_failed"]
    assert await first_flaw(trail) == 8


@pytest.mark.parametrize("known", [True, False])
async def test_a_cut_tail_behind_a_head_of_another_key(trail: Service, *, known: bool) -> None:
    """As if the key had been changed: the writer cannot confirm the head, and a verification does not either."""
    (row,) = await stored(trail, AuditEvent.sequence == 7)
    head = await head_of(trail)
    await remove(trail, 8, 9, 10)
    await set_head(trail, Head(7, row["digest"], head.key_id if known else b"gone", b"\1" * 32))
    await try_once(trail)
    assert await first_flaw(trail) == 8


async def test_an_added_row_does_not_stop_the_service(trail: Service) -> None:
    """One behind the head takes the place that the next event would have: that one goes behind it, with a mark."""
    (row,) = await stored(trail, AuditEvent.sequence == 10)
    await execute(trail, insert(AuditEvent).values(**moved(row, 11)))
    await try_once(trail)
    assert (await actions(trail))[-2:] == ["audit_chain_broken", "signin_failed"]
    assert await first_flaw(trail) == 11


async def test_only_an_anchor_shows_that_an_older_state_was_put_back(trail: Service) -> None:
    """Rows and head as they were at an earlier moment are genuine; a later anchor says that more was there."""
    older = await head_of(trail)
    await try_once(trail)
    anchor = (await verified(trail)).anchor
    assert anchor is not None
    assert anchor.rows == 11
    assert Anchor.parse(str(anchor)) == anchor
    await try_once(trail)
    assert (await verified(trail, anchor)).flaw is None
    await remove(trail, 11, 12)
    await set_head(trail, older)
    assert (await verified(trail)).flaw is None
    assert await first_flaw(trail, anchor) == 11
    # Nor can other rows take their place, not even genuine ones.
    await try_once(trail)
    await try_once(trail)
    assert (await verified(trail)).flaw is None
    report = await verified(trail, anchor)
    assert report.flaw is not None
    assert report.flaw.place == 11


@pytest.mark.parametrize("text", ["", "11", "11/", "x/" + "00" * 32, "0/" + "00" * 32, "1/" + "00" * 31, "1/zz"])
def test_what_is_no_anchor(text: str) -> None:
    """Is refused."""
    with pytest.raises(ValueError):  # noqa: PT011  # whatever says so
        Anchor.parse(text)


async def test_an_empty_trail_is_in_order(service: Service) -> None:
    """There is nothing to anchor yet."""
    assert await verified(service) == (0, None, None, 0)
