"""One secret, many keys: every purpose has a key of its own, derived from `SECRET_KEY`.

HKDF with SHA-256 (RFC 5869), the purpose as `info`: a token made for one purpose is noise to every other
(ASVS 9.2.2, 11.4.4). The first secret makes new values; the fallbacks still read old ones (ASVS 11.2.2).
"""

import hmac
from collections.abc import Sequence
from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

KEY_ID_BYTES = 4


class Purpose(StrEnum):
    """What a derived key is for, as `name/version`: a part of the derivation, so it is never reused or changed."""


def derive_key(secret: SecretStr, purpose: Purpose) -> bytes:
    """Derive the 32-byte key of `purpose` from one secret."""
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode())
    return hkdf.derive(secret.get_secret_value().encode())


def key_id(key: bytes) -> bytes:
    """Name the key in four bytes that tell nothing about it."""
    return hmac.digest(key, b"key id", "sha256")[:KEY_ID_BYTES]


class KeyRing:
    """The keys of every purpose, the current one first, then those of the fallbacks."""

    def __init__(self, secret_key: SecretStr, fallbacks: Sequence[SecretStr] = ()) -> None:
        self._secrets = (secret_key, *fallbacks)
        self._keys: dict[Purpose, tuple[bytes, ...]] = {}

    def current(self, purpose: Purpose) -> bytes:
        """Return the key that makes new values."""
        return self.all(purpose)[0]

    def all(self, purpose: Purpose) -> tuple[bytes, ...]:
        """Return every key that may have made a value still in use, the current one first."""
        if purpose not in self._keys:
            self._keys[purpose] = tuple(derive_key(secret, purpose) for secret in self._secrets)
        return self._keys[purpose]
