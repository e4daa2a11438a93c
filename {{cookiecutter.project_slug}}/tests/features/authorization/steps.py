"""The code flow as a test walks through it: what a browser would bring, what its user decides, what the client asks."""

import hashlib
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from starlette.requests import Request

from app.access.guard import Authentication
from app.access.policies import Principal
from app.features.authorization.requests import RequestReader
from app.features.authorization.service import AuthorizationService
from app.features.sessions.devices import Client
from tests.support.api.oauth import CALLBACK, Registered
from tests.support.http.asgi import http_scope
from tests.support.service import Service, Tokens

# Not random, so that every worker names the tests alike.
VERIFIER = "verifier-0123456789.ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghij~"
ORIGIN = Client("127.0.0.1", "a browser")
STATE = "st4te &=#/~"

Pairs = list[tuple[str, str]]


def challenge_of(verifier: str) -> str:
    """RFC 7636 section 4.2."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def query(client: Registered, **changes: str | None) -> Pairs:
    """The parameters of a sound request; a change of None leaves one out."""
    given = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": CALLBACK,
        "scope": "account:read",
        "state": STATE,
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    return [(name, value) for name, value in {**given, **changes}.items() if value is not None]


def parameters(location: str) -> tuple[str, dict[str, str]]:
    """An address without what an answer adds, and that: each parameter once."""
    parts = urlsplit(location)
    assert not parts.fragment
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return parts._replace(query="").geturl(), dict(pairs)


async def principal_of(service: Service, tokens: Tokens) -> Principal:
    """Who the session of a browser belongs to; a session with tokens stands in for it."""
    scope = http_scope(headers=[("authorization", f"Bearer {tokens.access}")])
    principal: Principal = await service[Authentication](Request({**scope, "state": {}}))
    return principal


async def approve(service: Service, client: Registered, browser: Tokens, **changes: str | None) -> dict[str, str]:
    """What the client is told when the user agrees."""
    request = await service[RequestReader].read(query(client, **changes))
    principal = await principal_of(service, browser)
    return parameters(await service[AuthorizationService].approve(principal, request, ORIGIN, asked=True))[1]


async def code_for(service: Service, client: Registered, browser: Tokens, **changes: str | None) -> str:
    """The code that the client gets when the user agrees."""
    return (await approve(service, client, browser, **changes))["code"]


async def exchange(
    service: Service,
    client: Registered | None,
    code: str,
    /,
    headers: dict[str, str] | None = None,
    **changes: str | None,
) -> httpx2.Response:
    """Present a code; a change of None leaves a parameter out."""
    given: dict[str, Any] = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    form = {**given, **(client.form if client and not headers else {}), **changes}
    data = {name: value for name, value in form.items() if value is not None}
    return await service.client.post("/oauth/token", data=data, headers=headers)
