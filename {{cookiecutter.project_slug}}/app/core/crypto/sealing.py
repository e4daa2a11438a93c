"""Sealing: what is stored so that only this service reads it, and only where it was put (ASVS 11.3.3, 14.1.2).

AES-256-GCM with the identity of its place (table, row, owner, column) as additional data: a value that was altered, or
moved to another row, does not open. A sealed value is `key id (4) | nonce (12) | ciphertext and tag (16)`, in bytes.
"""

from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.core.crypto.keys import KEY_ID_BYTES, KeyRing, Purpose, key_id

_NONCE_BYTES = 12
_HEAD_BYTES = KEY_ID_BYTES + _NONCE_BYTES


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
