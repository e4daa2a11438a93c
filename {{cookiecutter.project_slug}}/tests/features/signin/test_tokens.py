"""Access tokens: what is not one of ours, whole and of now, opens nothing."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac

from app.access.roles import Role
from app.core.crypto import derive_key
from app.core.pagination import CURSOR_KEY
from app.core.settings.model import Settings
from app.features.signin.tokens import TOKEN_KEY
from tests.conftest import PUBLIC_URL, StartService
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio


def encoded(part: object) -> str:
    """A part of a JWT."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(part: str) -> dict[str, Any]:
    """The JSON in a part of a JWT."""
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


def signed(header: object, claims: object, key: bytes) -> str:
    """A JWT with an HMAC made by hand, so that no library refuses to make it."""
    content = f"{encoded(header)}.{encoded(claims)}"
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(content.encode())
    return f"{content}.{encoded(mac.finalize())}"


HEADER = {"typ": "at+jwt", "alg": "HS256"}
NOW = int(time.time())

HEADERS: dict[str, Any] = {
    "alg none": {**HEADER, "alg": "none"},
    "alg None": {**HEADER, "alg": "None"},
    "alg RS256": {**HEADER, "alg": "RS256"},
    "alg HS512": {**HEADER, "alg": "HS512"},
    "no alg": {"typ": "at+jwt"},
    "typ JWT": {**HEADER, "typ": "JWT"},
    "no typ": {"alg": "HS256"},
    "crit": {**HEADER, "crit": ["b64"], "b64": False},
    "jwk": {**HEADER, "jwk": {"kty": "oct", "k": encoded(b"x" * 32)}},
    "jku": {**HEADER, "jku": "http://127.0.0.1:9/keys"},
    "x5u": {**HEADER, "x5u": "http://127.0.0.1:9/cert"},
    "kid path": {**HEADER, "kid": "../../dev/null"},
    "kid SQL": {**HEADER, "kid": "' OR 1=1 --"},
    "zip": {**HEADER, "zip": "DEF"},
}
CLAIMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "expired": lambda claims: {**claims, "exp": NOW - 1},
    "exp is text": lambda claims: {**claims, "exp": str(claims["exp"])},
    "issued in a minute": lambda claims: {**claims, "iat": claims["iat"] + 60},
    "not before a minute": lambda claims: {**claims, "nbf": claims["iat"] + 60},
    "other issuer": lambda claims: {**claims, "iss": "https://evil.example"},
    "other audience": lambda claims: {**claims, "aud": "https://evil.example"},
    "audience in a list": lambda claims: {**claims, "aud": [PUBLIC_URL, "https://evil.example"]},
    "no user": lambda claims: {**claims, "sub": "nobody"},
    "other user": lambda claims: {**claims, "sub": "00000000-0000-0000-0000-000000000000"},
    "other session": lambda claims: {**claims, "sid": "00000000-0000-0000-0000-000000000000"},
    "client is a number": lambda claims: {**claims, "client_id": 1},
    "token id is a list": lambda claims: {**claims, "jti": [claims["jti"]]},
    "scope is a list": lambda claims: {**claims, "scope": ["users:read"]},
    **{
        f"no {name}": lambda claims, name=name: {key: value for key, value in claims.items() if key != name}  # type: ignore[misc]
        for name in ("iss", "aud", "sub", "sid", "jti", "iat", "exp", "scope", "client_id", "auth_time", "amr")
    },
}


def own_key(service: Service) -> bytes:
    """The key with which the service signs, which no attacker has: only what is changed can be the reason."""
    return derive_key(service[Settings].secret_key, TOKEN_KEY)


async def refused(service: Service, token: str) -> None:
    """401 with RFC 6750's reason, each time, and within 50 ms at the quickest of three: a pause is not the token's."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        answer = await service.whoami(Tokens(token, ""))
        times.append(time.perf_counter() - begin)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert min(times) < 0.05


async def test_a_token_made_by_hand_is_taken(service: Service) -> None:
    """The control: with the right key, header and claims the helper's token opens, so what follows shows something."""
    _, tokens = await service.signed_in()
    claims = decoded(tokens.access.split(".")[1])
    assert decoded(tokens.access.split(".")[0]) == HEADER
    assert (await service.whoami(Tokens(signed(HEADER, claims, own_key(service)), ""))).status_code == 200


@pytest.mark.asvs("9.1.2", "9.1.3")
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
async def test_another_header_is_refused_though_the_signature_is_right(service: Service, header: object) -> None:
    """No algorithm but ours, no key that comes with the token, no type but ours."""
    _, tokens = await service.signed_in()
    claims = decoded(tokens.access.split(".")[1])
    await refused(service, signed(header, claims, own_key(service)))
    await refused(service, f"{encoded(header)}.{encoded(claims)}.")


@pytest.mark.asvs("9.2.1", "9.2.3", "10.3.1", "9.2.4")
@pytest.mark.parametrize("change", CLAIMS.values(), ids=CLAIMS)
async def test_other_claims_are_refused_though_the_signature_is_right(
    service: Service, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Every claim is required, and says what it must."""
    _, tokens = await service.signed_in()
    claims = change(decoded(tokens.access.split(".")[1]))
    await refused(service, signed(HEADER, claims, own_key(service)))


@pytest.mark.asvs("9.1.1", "9.2.2", "7.2.1")
async def test_other_keys_and_other_tokens_are_refused(service: Service) -> None:
    """The key of another purpose, a changed text, a refresh token, nonsense, and a flood of characters."""
    _, tokens = await service.signed_in()
    header, claims, signature = tokens.access.split(".")
    settings = service[Settings]
    raised = encoded({**decoded(claims), "scope": "users:write"})
    forged = [
        signed(HEADER, decoded(claims), derive_key(settings.secret_key, CURSOR_KEY)),
        signed(HEADER, decoded(claims), settings.secret_key.get_secret_value().encode()),
        signed(HEADER, decoded(claims), b""),
        f"{header}.{raised}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        f"{header}.{claims}",
        f"{header}.{claims}.{signature}.x",
        tokens.refresh,
        "x",
        "." * 2000,
        "x" * 20_000,
    ]
    for token in forged:
        await refused(service, token)


async def test_an_access_token_is_no_refresh_token(service: Service) -> None:
    """Neither stands in for the other."""
    _, tokens = await service.signed_in()
    assert (await service.refresh(tokens.access)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "bearer\tx", "Token x"])
async def test_malformed_credentials_are_refused(service: Service, value: str) -> None:
    """RFC 6750: a challenge, and no error code where no token was there."""
    answer = await service.client.get("/api/v1/users/me", headers={"Authorization": value})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scheme", ["Bearer  ", "bearer ", "BEARER     "])
async def test_a_scheme_has_any_case_and_any_number_of_spaces(service: Service, scheme: str) -> None:
    """RFC 9110 section 11.4 and RFC 6750 section 2.1: `1*SP`."""
    _, tokens = await service.signed_in()
    headers = {"Authorization": scheme + tokens.access}
    assert (await service.client.get("/api/v1/users/me", headers=headers)).status_code == 200
    form = {"token": tokens.refresh}
    assert (await service.client.post("/oauth/introspect", data=form, headers=headers)).json()["active"] is True


@pytest.mark.asvs("11.2.2")
async def test_a_rotated_key_signs_nobody_out(start: StartService) -> None:
    """What the old key signed holds while it is a fallback, and no longer."""
    old, new = "k1-" + "Zq7mTt0rWvX9bLc2NfHs5JyGd8Ke4PaU", "k2-" + "pR3xVn6sCw1zQm8tYb5kHj7gLf2dAe9U"
    async with start(secret_key=old) as service:
        _, tokens = await service.signed_in(Role.ADMIN)
    async with start(secret_key=new, secret_key_fallbacks=old) as service:
        assert (await service.whoami(tokens)).status_code == 200
        renewed = (await service.refresh(tokens.refresh)).json()["access_token"]
    async with start(secret_key=new) as service:
        assert (await service.whoami(tokens)).status_code == 401
        assert (await service.whoami(Tokens(renewed, ""))).status_code == 200
