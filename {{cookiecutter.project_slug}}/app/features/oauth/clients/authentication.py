"""Authenticate OAuth clients: by HTTP Basic, by the form, or a public client by its `client_id` alone.

Attempts are counted after the secret of 256 random bits is compared, so wrong ones lock no client out: the limit only
reduces noise (ASVS 6.3.1).
"""

import hmac
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from fastapi import Request
from limits import parse as parse_limit
from pydantic import SecretStr

from app.access.guard import AccessEvent
from app.access.policies import Principal
from app.core.crypto import digest
from app.core.errors import BadRequest, Unauthenticated
from app.core.events import emit_event
from app.core.limits import Limiter, subscriber
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.accounts.events import AccountEvent
from app.features.oauth.clients.registered import BUILT_IN, CHALLENGE, AnyClient, InvalidClient, RegisteredClient
from app.features.oauth.clients.service import ClientService
from app.features.oauth.events import ClientEvent
from app.http.request.base import scheme_and_credentials
from app.http.request.proxies import client_ip_of

Caller = Principal | AnyClient
"""The caller of an endpoint for both: a signed-in user, or a client."""

_Credentials = tuple[str, SecretStr | None]  # `client_id` and secret

_LONGEST_BASIC = 1024
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

_WRONG = "The client is unknown, or its credentials are wrong."
_EMPTY = "The secret in the Authorization header is empty. A public client sends client_id in the form, and no header."


class ClientAuthentication:
    """Authenticates clients (RFC 6749 section 2.3)."""

    def __init__(self, services: Services) -> None:
        self._clients, self._limiter = services[ClientService], services[Limiter]
        self._limit = parse_limit(services[Settings].rate_limit_signin)

    async def __call__(self, request: Request) -> AnyClient | None:
        """Return the client that is named, or None; raises `InvalidClient`, `BadRequest` or `TooManyRequests`."""
        ip = client_ip_of(request.scope)
        try:
            given = _given(request.headers.getlist("Authorization"), await request.form())
        except ValueError as error:
            raise await self._refusal(ip, None, _EMPTY if str(error) == _EMPTY else _WRONG) from None
        if given is None or given == (BUILT_IN.client_id, None):
            return given and BUILT_IN
        client_id, secret = given
        client = await self._clients.find(client_id)
        if client is None or not _shows_itself(client, secret):
            raise await self._refusal(ip, client)
        return client

    async def caller(self, request: Request) -> Caller:
        """Return the client of the request, or the user of the access token that the guard has accepted."""
        principal: Principal | None = getattr(request.state, "principal", None)
        if principal is not None:
            if (await request.form()).get("client_secret"):
                raise _two_kinds()
            return principal
        client = await self(request)
        if client is None:
            emit_event(AccessEvent.UNAUTHENTICATED, outcome="denied", reason="no credentials")
            raise Unauthenticated("Authenticate as a client or send an access token.", challenge=f"Bearer, {CHALLENGE}")
        return client

    async def _refusal(self, ip: str, client: RegisteredClient | None, detail: str = _WRONG) -> InvalidClient:
        """Count a failure, and return the error. Each client is counted apart: none waits because of another."""
        name = client.client_id if client else "unknown"
        verdict = await self._limiter.hit(self._limit, "client", "address", subscriber(ip), name)
        target = {"target_type": "client", "target_id": client.id} if client else {}
        over = "Too many attempts with wrong credentials. Try again later."
        verdict.require(over, AccountEvent.SIGNIN_LIMITED, by="client", **target)
        emit_event(ClientEvent.CLIENT_AUTHENTICATION_FAILED, outcome="failure", **target)
        return InvalidClient(detail)


def _shows_itself(client: RegisteredClient, secret: SecretStr | None) -> bool:
    """Return whether the secret is the client's: a public client has none, and sends none."""
    if secret is None or client.secret_hash is None:
        return secret is None and client.secret_hash is None
    return hmac.compare_digest(digest(secret.get_secret_value()), client.secret_hash)


def _given(authorization: Sequence[str], form: Mapping[str, Any]) -> _Credentials | None:
    """Read credentials; an empty parameter is missing (RFC 6749 section 3.2). Raises `ValueError` if malformed."""
    client_id, secret = form.get("client_id") or None, form.get("client_secret") or None
    if authorization:
        basic = _basic(authorization[0]) if len(authorization) == 1 and secret is None else None
        if basic is None or client_id not in {None, basic[0]}:
            raise _two_kinds()
        return basic
    if client_id is None and secret is not None:
        raise ValueError
    return client_id and (client_id, secret and SecretStr(secret))


def _basic(value: str) -> _Credentials:
    """Read the credentials of HTTP Basic, of which both parts are form-encoded (RFC 6749 section 2.3.1)."""
    scheme, credentials = scheme_and_credentials(value)
    if scheme != "basic" or len(credentials) > _LONGEST_BASIC:
        raise ValueError
    text = b64decode(credentials, validate=True).decode()
    name, separator, secret = text.partition(":")
    if not separator or not name or _BAD_ESCAPE.search(text):
        raise ValueError
    if not secret:  # as some libraries send it for a public client
        raise ValueError(_EMPTY)
    return unquote_plus(name, errors="strict"), SecretStr(unquote_plus(secret, errors="strict"))


def _two_kinds() -> BadRequest:
    return BadRequest("A client authenticates in one way at a time.")
