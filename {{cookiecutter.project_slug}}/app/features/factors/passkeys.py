"""Passkeys (WebAuthn Level 3): what a browser needs to make one or to use it, and the check of what it sends back.

A challenge is derived from the token that the answer comes with, which is bound to a browser, and used once. The user
must have been verified, so a passkey is two factors by itself (NIST SP 800-63B-4 section 3.2.5).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from pydantic import SecretStr

from app.core.crypto import digest
from app.core.settings.model import Settings

_ALGORITHMS = [-8, -7, -257]  # EdDSA, ES256, and RS256 for Windows Hello
_LONGEST_KEY = 540  # RSA with 4,096 bits: a larger one takes long at each use
_HAS_KEY, _STRINGS, _TAG = 0x40, (2, 3), 6
_SIZES = (*[0] * 24, 1, 2, 4, 8)  # of the number behind the first byte of an item, by the last five bits of that


class CopiedPasskeyError(Exception):
    """The answer is right, but the counter has gone back: somebody else may have a copy of the passkey."""


class RelyingParty:
    """What authenticators know the service as: the origin of `PUBLIC_URL`, with its host as the id."""

    def __init__(self, settings: Settings) -> None:
        # Browsers have no passkeys for an address: on this machine they are of its other name.
        self._origin = settings.public_url.replace("//127.0.0.1", "//localhost")
        self._id, self._name = urlsplit(self._origin).hostname, settings.app_name

    def creation(self, token: str, user_id: UUID, names: tuple[str, str], states: Iterable[bytes]) -> dict[str, Any]:
        """Return the options for another passkey of a user with `states` (`PublicKeyCredentialCreationOptionsJSON`)."""
        return {
            "rp": {"id": self._id, "name": self._name},
            "user": {"id": _text(user_id.bytes), "name": names[0], "displayName": names[1]},
            "challenge": _text(_challenge(token)),
            "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in _ALGORITHMS],
            "excludeCredentials": [orjson.loads(state)["descriptor"] for state in states],
            "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
            "attestation": "none",
        }

    def request(self, token: str, states: Iterable[bytes]) -> dict[str, Any]:
        """Return the options to use one of `states`, or any passkey (`PublicKeyCredentialRequestOptionsJSON`)."""
        allowed, challenge = [orjson.loads(state)["descriptor"] for state in states], _text(_challenge(token))
        return {"rpId": self._id, "challenge": challenge, "allowCredentials": allowed, "userVerification": "required"}

    def register(self, token: str, sent: SecretStr | None) -> bytes | None:
        """Return the state of a new passkey; None if anything is wrong with it."""
        from webauthn import verify_registration_response
        from webauthn.helpers import parse_cbor

        with suppress(Exception):  # Whatever the bytes of a stranger raise in a parser, the answer is wrong.
            credential, expected = _parsed(sent), {**self._expected(token), "supported_pub_key_algs": _ALGORITHMS}
            _check(attested := _plain(credential["response"]["attestationObject"]), is_data=False)
            _check(parse_cbor(attested)["authData"])
            made = verify_registration_response(credential=credential, **expected)
            if len(made.credential_public_key) > _LONGEST_KEY:
                return None
            transports = [str(each) for each in credential["response"].get("transports") or []]
            descriptor = {"type": "public-key", "id": credential["id"], "transports": transports}
            state = {"descriptor": descriptor, "key": _text(made.credential_public_key), "count": made.sign_count}
            backup = {"backed_up": made.credential_backed_up, "device": made.credential_device_type}
            return orjson.dumps({**state, **backup})
        return None

    def use(self, token: str, state: bytes, user_id: UUID, sent: SecretStr | None) -> bytes | None:
        """Return the state to store if the answer is right, otherwise None; raises `CopiedPasskeyError`."""
        from webauthn import verify_authentication_response

        known, now = orjson.loads(state), None
        with suppress(Exception):  # as in `register`
            credential, key = _parsed(sent), _plain(known["key"])
            _check(_plain(credential["response"]["authenticatorData"]))
            if credential["response"].get("userHandle") in {None, _text(user_id.bytes)}:
                expected = {**self._expected(token), "credential_current_sign_count": 0}  # compared below
                now = verify_authentication_response(credential=credential, credential_public_key=key, **expected)
        if now is None or now.credential_device_type != known["device"]:
            return None
        if known["count"] and now.new_sign_count <= known["count"]:
            raise CopiedPasskeyError
        return orjson.dumps({**known, "count": now.new_sign_count, "backed_up": now.credential_backed_up})

    def _expected(self, token: str) -> dict[str, Any]:
        about = {"expected_rp_id": self._id, "expected_origin": self._origin, "require_user_verification": True}
        return {"expected_challenge": _challenge(token), **about}


def passkey_id(sent: SecretStr | None, *, of_somebody: bool = False) -> UUID | None:
    """Return the id of the row of the passkey that an answer is of: from its digest, so each has one owner at most.

    Where nobody was asked for, the answer has to be `of_somebody`: it names its user (WebAuthn section 7.2).
    """
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        credential = _parsed(sent)
        if not of_somebody or credential["response"]["userHandle"]:
            return UUID(bytes=digest(credential["id"])[:16])
    return None


def _parsed(sent: SecretStr | None) -> Any:
    return orjson.loads(sent.get_secret_value() if sent else "")


def _challenge(token: str) -> bytes:
    return digest(f"webauthn|{token}")


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def _plain(text: str) -> bytes:
    return urlsafe_b64decode(f"{text}==")


def _check(cbor: bytes, *, is_data: bool = True) -> None:
    """Raise an error for a tag (RFC 8949 section 3): WebAuthn has none, and the library writes out what it reads.

    In the data of an authenticator, CBOR begins behind a head, or behind the id of a key (WebAuthn section 6.1).

    By tags, 150 bytes can stand for a list that holds each part twice: written out, 2^25 of them.
    """
    at = 0 if not is_data else 55 + int.from_bytes(cbor[53:55]) if cbor[32] & _HAS_KEY else 37
    while at < len(cbor):
        kind, short = divmod(cbor[at], 32)
        size = _SIZES[short]
        if kind == _TAG:
            raise ValueError
        number = int.from_bytes(cbor[at + 1 : at + 1 + size]) if size else short
        at += 1 + size + (number if kind in _STRINGS else 0)
