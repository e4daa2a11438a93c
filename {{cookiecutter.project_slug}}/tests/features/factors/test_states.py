"""What is drawn for a factor, and what is stored of it: chance of the operating system, digests, one row each."""

import secrets
from base64 import b32decode
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import select

from app.core.clock import utc_now
from app.core.crypto import KeyRing, Sealer
from app.core.database.database import Database
from app.features.factors.service import FACTOR_KEY, Factor
from tests.features.factors.passkeys.steps import (
    Owner,
    add_passkey,
    answer_by,
    asked,
    options_of,
    sign_in_with_passkey,
    with_passkey,
)
from tests.features.factors.steps import FACTORS, App, answer_with, begin, challenged, confirm, with_app
from tests.support.api.authenticator import Passkey
from tests.support.service import Service

pytestmark = pytest.mark.anyio


def code_bytes(code: str) -> bytes:
    """The bytes that a recovery code is the text of."""
    return b32decode(code.replace("-", "").upper())


async def states(service: Service, kind: str) -> list[bytes]:
    """What is sealed in the rows of a kind, opened with the key of the service."""
    sealer = Sealer(service[KeyRing], FACTOR_KEY)
    async with service[Database].read() as db:
        rows = (await db.scalars(select(Factor).where(Factor.kind == kind))).all()
    places = [b"factors|%b|%b|%b" % (row.id.bytes, row.user_id.bytes, row.kind.encode()) for row in rows]
    return [sealer.open(row.sealed, identity=place) for row, place in zip(rows, places, strict=True)]


@pytest.mark.asvs("6.5.2")
async def test_inside_of_the_seal_recovery_codes_are_digests(service: Service) -> None:
    """The SHA-256 of each code that is left, and nothing else: who has the key of the service reads no code."""
    enrolled = await with_app(service)
    digests = [sha256(code.replace("-", "").encode()).digest() for code in enrolled.codes]
    assert await states(service, "recovery_codes") == [b"".join(digests)]
    challenge = await challenged(service, enrolled.person)
    assert (await answer_with(service, challenge, enrolled.codes[3], "recovery_codes")).status_code == 200
    assert await states(service, "recovery_codes") == [b"".join(digests[:3] + digests[4:])]


@pytest.mark.asvs("6.5.3", "6.5.4")
async def test_secrets_and_codes_are_drawn_for_each_enrolment(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two users in one moment, and again: 160 and 120 bits that the operating system has drawn, all different."""
    drawn, draw = list[bytes](), secrets.token_bytes

    def note(count: int | None = None) -> bytes:
        drawn.append(draw(count))
        return drawn[-1]

    monkeypatch.setattr(secrets, "token_bytes", note)
    found = list[bytes]()
    with time_machine.travel(utc_now(), tick=False):
        people = [await service.signed_in() for _ in range(2)]
        for _, tokens in people:
            begun = [await begin(service, tokens.bearer) for _ in range(2)]
            apps = [App(each["otpauth_uri"]) for each in begun]
            assert [app.secret for app in apps] == [each["secret"] for each in begun]
            added = await confirm(service, tokens.bearer, begun[0], apps[0].code())
            again = await service.client.post(FACTORS, json={"kind": "recovery_codes"}, headers=tokens.bearer)
            codes = added.json()["recovery_codes"] + again.json()["recovery_codes"]
            found += [*(b32decode(app.secret) for app in apps), *map(code_bytes, codes)]
    assert [len(each) for each in found] == [20, 20, *[15] * 20] * 2
    assert len({*found}) == len(found)
    assert {*found} <= {*drawn}


@pytest.mark.asvs("6.7.1")
@pytest.mark.parametrize("other", ["of another user", "of the same user"])
async def test_a_state_of_another_passkey_opens_nothing(service: Service, other: str) -> None:
    """Who writes to the database puts what their own key proves into the row of another passkey: it stays refused."""
    victim = await with_passkey(service, counts=False)
    if other == "of another user":
        attacker = await with_passkey(service, counts=False)
    else:
        attacker = await add_passkey(service, victim.person, victim.tokens, counts=False)
    mine, theirs = await sealed(service, attacker), await sealed(service, victim)
    for owner, state in ((victim, mine), (attacker, theirs)):
        await put(service, owner, state)
    for owner, stranger in ((victim, attacker), (attacker, victim)):
        named = Passkey(counts=False, id=owner.passkey.id, key=stranger.passkey.key, user=owner.passkey.user)
        for person in (None, owner.person):
            for passkey in (named, owner.passkey):
                challenge = await asked(service, person)
                answer = await answer_by(service, challenge, passkey.get(options_of(challenge)))
                assert answer.status_code == 401
    for owner, state in ((victim, theirs), (attacker, mine)):
        await put(service, owner, state)
        await sign_in_with_passkey(service, owner)


async def sealed(service: Service, owner: Owner) -> bytes:
    """The state in the row of a passkey."""
    async with service[Database].read() as db:
        state: bytes = (await db.execute(_row(owner))).scalar_one().sealed
    return state


async def put(service: Service, owner: Owner, state: bytes) -> None:
    """Put a state into the row of a passkey, as somebody can who writes to the database."""
    async with service[Database].transaction() as db:
        (await db.execute(_row(owner))).scalar_one().sealed = state


def _row(owner: Owner) -> Any:
    return select(Factor).where(Factor.id == UUID(owner.factor_id))
