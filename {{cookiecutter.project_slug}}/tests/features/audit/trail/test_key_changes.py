"""Another `SECRET_KEY`: the trail goes on, and what came before stays provable as long as it can be."""

import secrets
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.features.audit.models import AuditEvent
from tests.conftest import StartService
from tests.support.records.trail import actions, change, disarm, forge, head_of, stored, trail_of, verified
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.4.2")]

OLD, NEW, NEWEST = (secrets.token_urlsafe(64) for _ in range(3))
OLD_ALONE: dict[str, Any] = {"secret_key": OLD}
NEW_THEN_OLD: dict[str, Any] = {"secret_key": NEW, "secret_key_fallbacks": (OLD,)}
NEW_ALONE: dict[str, Any] = {"secret_key": NEW}


def ring(*texts: str) -> KeyRing:
    """The keys of these secrets."""
    current, *fallbacks = (SecretStr(text) for text in texts)
    return KeyRing(current, fallbacks)


async def fail_to_sign_in(service: Service, times: int = 3) -> None:
    """Events that need nobody."""
    for _ in range(times):
        await service.try_sign_in("nobody@people.example", "not the password")


async def test_a_rotation_leaves_one_mark_and_loses_nothing(start: StartService) -> None:
    """With the old key as a fallback: one row says that the key changed, and that the old end was confirmed."""
    for settings in (OLD_ALONE, NEW_THEN_OLD, NEW_ALONE):
        async with start(**settings) as service:
            await fail_to_sign_in(service)
            assert (await verified(service)).flaw is None
    assert await actions_of(start) == [*["signin_failed"] * 3, "audit_key_changed", *["signin_failed"] * 6]


async def actions_of(start: StartService) -> list[str]:
    """What is on record."""
    async with start(**NEW_ALONE) as service:
        return await actions(service)


@pytest.mark.parametrize("sequence", [1, 2, 3])
async def test_rows_of_a_key_that_is_gone_cannot_be_changed_either(start: StartService, sequence: int) -> None:
    """Their MACs can be checked no more, but their hashes are tied to the row in which the new key confirmed them."""
    async with start(**OLD_ALONE) as service:
        await fail_to_sign_in(service)
    async with start(**NEW_THEN_OLD) as service:
        await fail_to_sign_in(service)
    async with start(**NEW_ALONE) as service:
        await disarm(service)
        await change(service, sequence, ip="192.0.2.1")
        report = await verified(service)
        assert report.flaw is not None
        assert report.flaw.place == sequence
        # Nor with every hash made anew, up to the confirmation.
        row: dict[str, Any] = {"digest": bytes(32)}
        for number, each in enumerate((await stored(service))[:3], start=1):
            row = await forge(service, ring(NEWEST), number, each, behind=row["digest"])
        report = await verified(service)
        assert report.flaw is not None
        assert report.flaw.place == 4


async def test_a_key_that_is_lost_is_told(start: StartService) -> None:
    """Without the old key nobody can say where the old part ended: that is a flaw, unless an anchor says it."""
    async with start(**OLD_ALONE) as service:
        await fail_to_sign_in(service)
        anchor = (await verified(service)).anchor
    async with start(**NEW_ALONE) as service:
        report = await verified(service)
        assert report.flaw is not None
        assert report.flaw.place == 1
        await fail_to_sign_in(service)
        assert [row["outcome"] for row in await stored(service, AuditEvent.action == "audit_key_changed")] == [
            "failure"
        ]
        report = await verified(service)
        assert report.flaw is not None
        assert report.flaw.place == 4
        # Whoever has the old key, or the anchor, can tell that all is in order.
        assert (await verified(service, keys=ring(NEW, OLD))).flaw is None
        assert (await verified(service, anchor)).flaw is None
        await disarm(service)
        await change(service, 2, ip="192.0.2.1")
        assert (await verified(service, anchor)).flaw is not None


async def test_a_replica_that_does_not_know_the_new_key_yet(start: StartService) -> None:
    """Old and new processes side by side: each continues the other's rows, and the whole is in order."""
    for settings in (OLD_ALONE, NEW_THEN_OLD, OLD_ALONE, NEW_THEN_OLD):
        async with start(**settings) as service:
            await fail_to_sign_in(service, 2)
    async with start(**NEW_THEN_OLD) as service:
        assert (await verified(service)).flaw is None
        marks = await stored(service, AuditEvent.action == "audit_key_changed")
        assert [row["outcome"] for row in marks] == ["success", "failure", "success"]


async def test_a_key_change_can_be_confirmed_at_once(start: StartService) -> None:
    """`reseal` writes the mark without an event, once: after it the earlier key is needed no more."""
    async with start(**OLD_ALONE) as service:
        await fail_to_sign_in(service)
    async with start(**NEW_THEN_OLD) as service:
        trail = trail_of(service)
        for expected in (1, 0):
            async with service[Database].transaction() as db:
                assert await trail.reseal(db, limit=10) == expected
        head = await head_of(service)
        assert head.place == 4
        assert (await verified(service, keys=ring(NEW))).flaw is None
