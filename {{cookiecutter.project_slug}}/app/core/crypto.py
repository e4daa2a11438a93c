"""One secret, many keys: every purpose has a key of its own, derived from `SECRET_KEY`; and sealing with them.

HKDF with SHA-256 (RFC 5869), the purpose as `info`: a token made for one purpose is noise to every other
(ASVS 9.2.2, 11.4.4). The first secret makes new values; the fallbacks still read old ones (ASVS 11.2.2).

What is sealed, only this service reads, and only where it was put (ASVS 11.3.3, 14.1.2): AES-256-GCM with the identity
of its place (table, row, owner, column) as additional data. A value that was altered, or moved to another row, does not
open. A sealed value is `key id (4) | nonce (12) | ciphertext and tag (16)`, in bytes.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from os import urandom
from typing import NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = KEY_ID_BYTES + _NONCE_BYTES


Purpose = NewType("Purpose", str)
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

    def all(self, purpose: Purpose) -> tuple[bytes, ...]:
        """Return every key that may have made a value still in use, the current one first."""
        return tuple(derive_key(secret, purpose) for secret in self._secrets)


def new_token(prefix: str = "") -> str:
    """Make a secret to hand out: 256 random bits in base64url, after the prefix (ASVS 11.5.1)."""
    return prefix + secrets.token_urlsafe(32)


def digest(text: str) -> bytes:
    """Return the SHA-256 of a text: what is stored of a token."""
    return hashlib.sha256(text.encode()).digest()


class SealBrokenError(Exception):
    """The value was altered, moved, or sealed with a key that is gone. Nothing of it can be trusted."""


class Sealer:
    """Seals with the current key of a purpose, and opens with every key of the ring."""

    def __init__(self, keys: KeyRing, purpose: Purpose) -> None:
        self._ciphers = [(key_id(key), AESGCM(key)) for key in keys.all(purpose)]

    @property
    def key_id(self) -> bytes:
        """The first bytes of every value that the current key sealed."""
        return self._ciphers[0][0]

    def seal(self, plain: bytes, *, identity: bytes) -> bytes:
        """Seal a value for its place. Sealed twice, it looks different each time."""
        name, cipher = self._ciphers[0]
        nonce = urandom(_NONCE_BYTES)
        return name + nonce + cipher.encrypt(nonce, plain, identity)

    def open(self, sealed: bytes, *, identity: bytes) -> bytes:
        """Open a value that was sealed for this place; raises `SealBrokenError`."""
        nonce, ciphertext = sealed[KEY_ID_BYTES:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        for name, cipher in self._ciphers:
            if sealed.startswith(name) and len(nonce) == _NONCE_BYTES:
                try:
                    return cipher.decrypt(nonce, ciphertext, identity)
                except InvalidTag:
                    continue
        raise SealBrokenError
