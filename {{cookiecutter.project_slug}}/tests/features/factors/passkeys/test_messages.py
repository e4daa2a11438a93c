"""What the messages of an authenticator may hold, and what it costs to read them (WebAuthn sections 6.1 and 6.5)."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import cbor2
import pytest

from tests.features.factors.passkeys.steps import (
    add_credential,
    add_passkey,
    answer_by,
    asked,
    begin_passkey,
    options_of,
    sign_in_with_passkey,
    with_passkey,
)
from tests.support.api.authenticator import EXTENDED, GOOD, Passkey
from tests.support.service import Service

pytestmark = pytest.mark.anyio


def multiplied(levels: int) -> Any:
    """A list that holds a list twice, which holds one twice, and so on: in CBOR it is there once (tags 28 and 29)."""
    value: Any = cbor2.CBORTag(28, [])
    for level in range(levels, 0, -1):
        value = cbor2.CBORTag(28, [value, cbor2.CBORTag(29, level)])
    return value


async def seconds_of(asking: Callable[[int], Awaitable[int]], levels: int) -> float:
    """How much work the answer to so many levels is, at the best of three times; it is a refusal."""
    times = []
    for _ in range(3):
        begin = time.thread_time()
        assert await asking(levels) in {401, 403}
        times.append(time.thread_time() - begin)
    return min(times)


@pytest.mark.asvs("15.2.2", "1.5.2")
@pytest.mark.parametrize("place", ["key", "extensions", "statement", "answer"])
async def test_values_that_are_there_once_are_not_written_out(service: Service, place: str) -> None:
    """300 bytes of an authenticator would become 2^50 in memory: they cost what any wrong ones do."""
    owner = await with_passkey(service)
    begun, made = await begin_passkey(service, owner.tokens.bearer), Passkey()

    async def ask(levels: int) -> int:
        value = multiplied(levels)
        extended = {"flags": GOOD | EXTENDED, "extensions": cbor2.dumps(value)}
        if place == "answer":
            challenge = await asked(service)
            credential = owner.passkey.get(options_of(challenge), **extended)
            return (await answer_by(service, challenge, credential)).status_code
        wrong: dict[str, Any] = {
            "key": {"cose": value},
            "extensions": extended,
            "statement": {"statement": {"attStmt": {"x5c": value}}},
        }
        credential = made.create(begun["options"], **wrong[place])
        return (await add_credential(service, owner.tokens.bearer, begun, credential)).status_code

    # Written out, these levels are millions of values, and seconds.
    assert await seconds_of(ask, 21) < 5 * await seconds_of(ask, 1) + 0.05


async def test_extensions_that_nobody_asked_for_are_no_fault(service: Service) -> None:
    """Browsers add `credProtect` to what they make, and others may come: such a passkey is added, and used."""
    (_, tokens), passkey = await service.signed_in(), Passkey()
    begun, more = await begin_passkey(service, tokens.bearer), {"flags": GOOD | EXTENDED}
    extensions = cbor2.dumps({"credProtect": 2, "others": {"a": [b"text", -1, 1.5, None, "\u00e4" * 300]}})
    made = passkey.create(begun["options"], extensions=extensions, **more)
    assert (await add_credential(service, tokens.bearer, begun, made)).status_code == 201
    challenge = await asked(service)
    answer = await answer_by(service, challenge, passkey.get(options_of(challenge), extensions=extensions, **more))
    assert answer.status_code == 200


@pytest.mark.asvs("15.2.2")
async def test_a_huge_key_is_not_added(service: Service) -> None:
    """RSA with 2,048 bits, as Windows has it, up to 4,096; of 8,192, each use would hold everybody up."""
    _, tokens = await service.signed_in()
    for bits, status in ((8192, 403), (4096, 201), (2048, 201)):
        begun = await begin_passkey(service, tokens.bearer)
        cose = {1: 3, 3: -257, -1: ((1 << bits) - 1).to_bytes(bits // 8), -2: b"\x01\x00\x01"}
        made = Passkey().create(begun["options"], cose=cose)
        assert (await add_credential(service, tokens.bearer, begun, made)).status_code == status, bits


async def test_an_answer_is_of_the_passkey_that_it_names(service: Service) -> None:
    """Another one of the same owner does not answer in its name: one key is tried for each answer."""
    owner = await with_passkey(service, counts=False)
    second = await add_passkey(service, owner.person, owner.tokens, counts=False)
    challenge = await asked(service)
    mixed = Passkey(counts=False, id=owner.passkey.id, key=second.passkey.key, user=owner.passkey.user)
    answer = await answer_by(service, challenge, mixed.get(options_of(challenge)))
    assert answer.status_code == 401
    await sign_in_with_passkey(service, second)
