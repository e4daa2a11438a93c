"""Sealed values: unreadable, bound to their place, and readable after a rotation of the key."""

import secrets

import pytest
from pydantic import SecretStr

from app.core.crypto import KeyRing, SealBrokenError, Sealer
from app.core.pagination import CURSOR_KEY
from app.features.signin.tokens import TOKEN_KEY

PLAIN = b"the value of a secret"
PLACE = b"table|row|owner|column"
OLD, NEW = (SecretStr(secrets.token_urlsafe(64)) for _ in range(2))


def sealer(*keys: SecretStr) -> Sealer:
    """A sealer with these keys, the current one first."""
    return Sealer(KeyRing(keys[0], keys[1:]), CURSOR_KEY)


def test_opens_what_it_sealed_and_shows_nothing() -> None:
    """Two seals of one value differ, neither holds it, and both open."""
    subject = sealer(NEW)
    one, other = (subject.seal(PLAIN, identity=PLACE) for _ in range(2))
    assert one != other
    assert PLAIN not in one + other
    assert subject.open(one, identity=PLACE) == subject.open(other, identity=PLACE) == PLAIN
    assert subject.open(subject.seal(b"", identity=PLACE), identity=PLACE) == b""


@pytest.mark.asvs("11.3.3")
def test_a_flip_of_any_byte_or_a_cut_breaks_it() -> None:
    """Key id, nonce, ciphertext and tag: whatever is altered, nothing opens."""
    subject = sealer(NEW)
    sealed = subject.seal(PLAIN, identity=PLACE)
    altered = [sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :] for n in range(len(sealed))]
    for broken in [*altered, *(sealed[:n] for n in range(len(sealed))), sealed + b"\0"]:
        with pytest.raises(SealBrokenError):
            subject.open(broken, identity=PLACE)


@pytest.mark.asvs("11.3.3")
@pytest.mark.parametrize("place", [b"", b"table|other row|owner|column", PLACE + b" "])
def test_a_value_in_another_place_does_not_open(place: bytes) -> None:
    """Two users' values cannot be swapped."""
    subject = sealer(NEW)
    with pytest.raises(SealBrokenError):
        subject.open(subject.seal(PLAIN, identity=PLACE), identity=place)


@pytest.mark.asvs("11.2.2")
def test_a_rotated_key_still_opens_and_is_known_for_old() -> None:
    """After a rotation old values open and do not begin with the new key's id; without the fallback they are lost."""
    sealed = sealer(OLD).seal(PLAIN, identity=PLACE)
    rotated = sealer(NEW, OLD)
    assert rotated.open(sealed, identity=PLACE) == PLAIN
    assert not sealed.startswith(rotated.key_id)
    assert rotated.seal(PLAIN, identity=PLACE).startswith(rotated.key_id)
    with pytest.raises(SealBrokenError):
        sealer(NEW).open(sealed, identity=PLACE)


def test_each_purpose_has_a_key_of_its_own() -> None:
    """What one purpose sealed, another does not open."""
    ring = KeyRing(NEW)
    sealed = Sealer(ring, CURSOR_KEY).seal(PLAIN, identity=PLACE)
    with pytest.raises(SealBrokenError):
        Sealer(ring, TOKEN_KEY).open(sealed, identity=PLACE)
