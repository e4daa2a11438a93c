"""The kinds of second factors. What is stored of a factor is its state, which changes with each use.

An authenticator app shows TOTP codes (RFC 6238: SHA-1, six digits, 30 seconds, as every app knows). A code is right in
its time step and those beside it, each step once (ASVS 6.5.1, 6.5.5). Recovery codes stand in for lost factors.
"""

import hmac
import re
import secrets
from base64 import b32encode
from collections.abc import Callable
from typing import Literal, NamedTuple

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from pydantic import SecretStr

from app.access import policies
from app.core.clock import utc_now
from app.core.crypto import digest

FactorKind = Literal["totp", "passkey", "recovery_codes"]
APP: FactorKind = "totp"
PASSKEY: FactorKind = "passkey"
RECOVERY: FactorKind = "recovery_codes"

_SECONDS, _SECRET_BYTES, _STEP_BYTES = 30, 20, 8
_TOTP = re.compile(r"[0-9]{6}", re.ASCII)
_CODES, _CODE_BYTES, _GROUP, DIGEST_BYTES = 10, 15, 6, 32


class Kind(NamedTuple):
    """A kind of factor: its `amr` (RFC 8176), its name for people, and how a code is used."""

    method: str
    label: str
    use: Callable[[bytes, str], bytes | None]
    """Returns the state to store if the code is right, such that it is not right again; otherwise None."""


def new_app() -> bytes:
    """Return the state of a new authenticator app: the last time step that was used, and a secret."""
    return bytes(_STEP_BYTES) + secrets.token_bytes(_SECRET_BYTES)


def app_secret(state: bytes, account: str, issuer: str) -> tuple[str, str]:
    """Return the secret of an authenticator app as text, and as the URI that apps read from a QR code."""
    secret = state[_STEP_BYTES:]
    return b32encode(secret).decode(), _totp(secret).get_provisioning_uri(account, issuer)


def _use_app(state: bytes, code: str) -> bytes | None:
    last, secret = int.from_bytes(state[:_STEP_BYTES]), state[_STEP_BYTES:]
    now = int(utc_now().timestamp()) // _SECONDS
    for step in (now - 1, now, now + 1) if _TOTP.fullmatch(code) else ():
        if hmac.compare_digest(_totp(secret).generate(step * _SECONDS), code.encode()) and step > last:
            return step.to_bytes(_STEP_BYTES) + secret
    return None


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, 6, SHA1(), _SECONDS)


def new_recovery_codes() -> tuple[bytes, list[str]]:
    """Return the state of new recovery codes, of `DIGEST_BYTES` for each that is left, and ten codes of 120 bits."""
    texts = [b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower() for _ in range(_CODES)]
    codes = ["-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP)) for text in texts]
    return b"".join(map(digest, texts)), codes


def _use_recovery_code(state: bytes, code: str) -> bytes | None:
    """Take the digest of a code, in any case, with hyphens or without, out of the state."""
    left = [state[start : start + DIGEST_BYTES] for start in range(0, len(state), DIGEST_BYTES)]
    used = digest(code.replace("-", "").lower())
    return b"".join(each for each in left if each != used) if used in left else None


KINDS: dict[FactorKind, Kind] = {
    APP: Kind("otp", "Authenticator app", _use_app),
    PASSKEY: Kind(policies.PASSKEY, "Passkey", lambda _, __: None),  # its answer is no code: `passkeys.py`
    RECOVERY: Kind("recovery", "Recovery codes", _use_recovery_code),
}


def use_code(kind: FactorKind, state: bytes | None, code: SecretStr | None) -> bytes | None:
    """Use a code as people type it, with blanks; None for one that is wrong, and for a state that does not open."""
    typed = code.get_secret_value().replace(" ", "") if code else ""
    return None if state is None else KINDS[kind].use(state, typed)
