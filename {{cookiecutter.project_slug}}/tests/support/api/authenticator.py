"""An authenticator in software: passkeys with real CBOR, COSE and ES256, and what a hostile one gets wrong."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

ORIGIN = "https://service.example"
PRESENT, VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, ATTESTED, EXTENDED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
GOOD = PRESENT | VERIFIED


def text(value: bytes) -> str:
    """Bytes as WebAuthn writes them in JSON."""
    return urlsafe_b64encode(value).decode().rstrip("=")


def plain(value: str) -> bytes:
    """The bytes of such a text."""
    return urlsafe_b64decode(f"{value}==")


@dataclass
class Passkey:
    """A passkey. Each answer counts, unless the counter stays at zero, as that of a synchronised one does."""

    counts: bool = True
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    user: str = ""
    count: int = 0

    def create(self, options: dict[str, Any], **wrong: Any) -> str:
        """Answer `navigator.credentials.create`."""
        self.user = options["user"]["id"]
        point = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)}
        attested = bytes(16) + len(self.id).to_bytes(2) + self.id + cbor2.dumps(wrong.pop("cose", cose))
        about = {"challenge": options["challenge"], "rp_id": options["rp"]["id"], **wrong}
        data, client = self._signed("create", about, attested)
        statement = {"fmt": "none", "attStmt": {}, "authData": data, **wrong.get("statement", {})}
        response = {"clientDataJSON": text(client), "attestationObject": text(cbor2.dumps(statement))}
        return self._credential({**response, "transports": ["internal"]})

    def get(self, options: dict[str, Any], **wrong: Any) -> str:
        """Answer `navigator.credentials.get`."""
        user, key = wrong.pop("user", self.user), wrong.pop("key", self.key)
        about = {"challenge": options["challenge"], "rp_id": options["rpId"], **wrong}
        data, client = self._signed("get", about, b"")
        signature = key.sign(data + sha256(client).digest(), ECDSA(SHA256()))
        response = {"clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature)}
        return self._credential({**response, "userHandle": user})

    def _signed(self, kind: str, about: dict[str, Any], attested: bytes) -> tuple[bytes, bytes]:
        """The data of the authenticator and of the client; `about` says what is wrong in them, too."""
        self.count += self.counts
        flags = about.get("flags", GOOD if self.counts else GOOD | BACKUP_ELIGIBLE) | (ATTESTED if attested else 0)
        head = sha256(about["rp_id"].encode()).digest() + bytes([flags])
        client = {"type": f"webauthn.{kind}", "origin": ORIGIN, "crossOrigin": False}
        client |= {name: about[name] for name in ("type", "challenge", "origin") if name in about}
        data = head + about.get("count", self.count).to_bytes(4) + attested + about.get("extensions", b"")
        return data, json.dumps(client).encode()

    def _credential(self, response: dict[str, Any]) -> str:
        name = text(self.id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})
