"""One secret, many keys."""

import ast
import hashlib
import hmac
import secrets

import pytest
from pydantic import SecretStr

from app.assembly import FEATURES
from app.core.crypto import KeyRing, Purpose, derive_key
from app.features.signin.tokens import TOKEN_KEY
from tests.support.processes.server import PROJECT

PURPOSES = [purpose for feature in FEATURES for purpose in feature.keys]


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt, one block: written out again, from the RFC."""
    extracted = hmac.digest(b"\0" * hashlib.sha256().digest_size, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


@pytest.mark.asvs("11.4.4")
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_key_is_derived_by_hkdf_with_its_purpose(purpose: Purpose) -> None:
    """As the RFC says, 32 bytes, another one for each purpose."""
    secret = secrets.token_urlsafe(64)
    assert derive_key(SecretStr(secret), purpose) == hkdf(secret.encode(), purpose.encode())
    others = {derive_key(SecretStr(secret), other) for other in PURPOSES}
    assert len(others) == len(PURPOSES)


def test_the_ring_makes_with_the_first_and_reads_with_all() -> None:
    """The current key comes first, the fallbacks in their order."""
    new, old, older = (SecretStr(secrets.token_urlsafe(64)) for _ in range(3))
    ring = KeyRing(new, (old, older))
    expected = tuple(derive_key(secret, TOKEN_KEY) for secret in (new, old, older))
    assert ring.all(TOKEN_KEY)[0] == expected[0]
    assert ring.all(TOKEN_KEY) == expected


@pytest.mark.asvs("6.5.3", "11.5.1", "7.2.3")
def test_chance_comes_from_the_operating_system() -> None:
    """Nothing that the service draws can be foretold: of `random` it uses `SystemRandom` alone, and no `uuid1`."""
    used: set[str] = set()
    for path in (PROJECT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in {"random", "uuid"}:
                used.update(f"{node.module}.{each.name}" for each in node.names)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"random", "uuid"}:
                used.add(ast.unparse(node))
    assert used == {"random.SystemRandom", "uuid.UUID", "uuid.uuid4"}
