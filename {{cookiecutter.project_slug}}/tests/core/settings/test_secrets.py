"""Keys and passwords that can be guessed are refused; those that were drawn at random are not."""

import base64
import random
from collections.abc import Callable
from uuid import UUID

import pytest

from app.core.settings.rules import is_known_password, secret_key
from tests.support.settings_sources import GOOD, PRODUCTION, Sources


@pytest.mark.asvs("11.2.3", "13.2.3")
@pytest.mark.parametrize("environment", ["development", "test", "production"])
@pytest.mark.parametrize(
    "key",
    [
        "short",
        "replace-me" * 8,
        "changethis18b9ba513485495d69b33cb66c251cd20791e4d9",
        "a" * 64,
        "abcdefgh" * 8,
        "x y" * 20,
        "correct-horse-battery-staple-tree-house",
        "TheQuickBrownFoxJumpsOverTheLazyDog",
        "my-super-long-fastapi-jwt-signing-key-2026",
        "thisisaverylongkeythatnobodyeverguesses",
        "dieser-schluessel-ist-sehr-geheim-und-lang",
        "estaesunaclavemuylargaysecretadelservicio",
    ],
)
def test_a_weak_key_is_refused_everywhere(sources: Sources, environment: str, key: str) -> None:
    """Short, a placeholder, repeated, a sentence: as the key, and as a fallback."""
    sources.environment(**PRODUCTION | {"ENVIRONMENT": environment, "SECRET_KEY": key})
    assert "SECRET_KEY: " in sources.refused()
    sources.environment(SECRET_KEY=GOOD["SECRET_KEY"], SECRET_KEY_FALLBACKS=key)
    assert "SECRET_KEY_FALLBACKS: " in sources.refused()


@pytest.mark.parametrize(
    "encode",
    [
        lambda key: base64.urlsafe_b64encode(key[:32]).decode().rstrip("="),
        lambda key: base64.b64encode(key).decode(),
        lambda key: key[:32].hex(),
        lambda key: str(UUID(bytes=key[:16])),
    ],
    ids=["urlsafe", "base64", "hex", "uuid"],
)
def test_random_keys_are_accepted(encode: Callable[[bytes], str]) -> None:
    """No common way to draw a key makes one that looks like words. The keys are the same in every run."""
    draw = random.Random(0)  # noqa: S311  # no secrets
    for _ in range(2_000):
        key = encode(draw.randbytes(48))
        assert secret_key(key) == key


@pytest.mark.parametrize("password", ["", "changeme", "Postgres", "app-user", "DB", "db.service.example", "orders_db"])
def test_defaults_and_names_are_known_passwords(password: str) -> None:
    """Placeholders, defaults, and the names around the password: user, database, host and its first label."""
    assert is_known_password(password, "app_user", "orders_db", "db.service.example", None)


@pytest.mark.parametrize("password", ["6h3JfKq9", "orders-6h3JfKq9", "example.service"])
def test_other_passwords_are_not_known(password: str) -> None:
    """A name may be a part of a password."""
    assert not is_known_password(password, "app_user", "orders_db", "db.service.example", None)
