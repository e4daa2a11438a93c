"""Authorization requests: what a browser brings from a client (RFC 6749 section 4.1.1, RFC 7636, RFC 9700).

Unless client and redirect URI are registered, the answer is a page: a redirect would lead to whoever wrote the link.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlencode

from app.access.policies import Principal
from app.core.errors import BadRequest
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.oauth.clients.redirect_uris import LONGEST_URI, is_registered
from app.features.oauth.clients.registered import GrantType, RegisteredClient
from app.features.oauth.clients.service import ClientService
from app.features.oauth.grants import is_own_resource

_LONGEST_SCOPE = 2000
_AGE = re.compile(r"[0-9]{1,10}", re.ASCII)
_STATE = re.compile(r"[\x20-\x7e]*", re.ASCII)
# The SHA-256 of the verifier in base64url (RFC 7636 section 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)

# Parameters of OpenID Connect and other extensions that would change the meaning of a request: refused by name
# (`request_not_supported` and so on) instead of ignored.
_NOT_SUPPORTED = ("request", "request_uri", "registration")
_PROMPTS = frozenset({"none", "login", "consent"})


class UntrustedRequest(BadRequest):
    """The client or its redirect URI is not known: for a page of this service, never for a redirect."""

    def __init__(self, detail: str, client: RegisteredClient | None = None) -> None:
        super().__init__(detail)
        self.client = client


class RefusedRequest(Exception):
    """A redirect to `location` tells the client that it gets no code, because of `error`."""

    def __init__(self, error: str, location: str) -> None:
        super().__init__(error)
        self.error = error
        self.location = location


@dataclass(frozen=True, slots=True)
class Callback:
    """Where the answer to a request goes, and what it repeats."""

    redirect_uri: str
    state: str | None
    issuer: str

    def answer(self, **parameters: str) -> str:
        """Return the redirect URI with an answer, which names the issuer (RFC 9207)."""
        answer = parameters | ({} if self.state is None else {"state": self.state}) | {"iss": self.issuer}
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{urlencode(answer)}"

    def refuse(self, error: str, description: str) -> NoReturn:
        """Raise the `RefusedRequest` that tells the client of an error (RFC 6749 section 4.1.2.1)."""
        raise RefusedRequest(error, self.answer(error=error, error_description=description))


@dataclass(frozen=True, slots=True)
class AuthorizationRequest(Callback):
    """A request that can be approved or denied: `scope` is what the client asks for, and may have.

    `max_age` is in seconds (RFC 9470 section 4), `prompt` as in OpenID Connect Core section 3.1.2.1.
    """

    client: RegisteredClient
    scope: frozenset[str]
    code_challenge: str
    max_age: int | None
    prompt: frozenset[str]

    def granted(self, principal: Principal) -> frozenset[str]:
        """Return what the client gets of its scope: what the user may do, with the sign-in that decides."""
        return self.scope & principal.permissions


class RequestReader:
    """Reads authorization requests."""

    def __init__(self, services: Services) -> None:
        self._clients, self._issuer = services[ClientService], services[Settings].public_url

    async def read(self, pairs: Sequence[tuple[str, str]]) -> AuthorizationRequest:
        """Read a query in order; raises `UntrustedRequest` for a page, `RefusedRequest` for a redirect."""
        given: dict[str, str] = {name: value for name, value in pairs if value}
        # RFC 8707 section 2: the one parameter that may be repeated.
        resources = frozenset(value for name, value in pairs if name == "resource" and value)
        counts = Counter(name for name, _ in pairs if name != "resource")
        repeated = {name for name, count in counts.items() if count > 1}
        client, redirect_uri = await self._trusted(given, repeated)
        state = given.get("state")
        sound = state is None or ("state" not in repeated and _STATE.fullmatch(state) is not None)
        callback = Callback(redirect_uri, state if sound else None, self._issuer)
        if not sound:
            callback.refuse("invalid_request", "There is one state, of printable ASCII.")
        if repeated:
            callback.refuse("invalid_request", "A parameter is there more than once.")
        for is_there, error, description in _faults(given, client):
            if is_there:
                callback.refuse(error, description)
        if not is_own_resource(resources, self._issuer):
            callback.refuse("invalid_target", f"The one resource is {self._issuer}")
        return AuthorizationRequest(
            redirect_uri,
            state,
            self._issuer,
            client=client,
            scope=_asked(given, client),
            code_challenge=given["code_challenge"],
            max_age=int(given["max_age"]) if "max_age" in given else None,
            prompt=_prompt(given),
        )

    async def _trusted(self, given: Mapping[str, str], repeated: set[str]) -> tuple[RegisteredClient, str]:
        """Return the client and its redirect URI; each has to be named, and once (RFC 9700 section 2.1)."""
        client_id, redirect_uri = given.get("client_id", ""), given.get("redirect_uri", "")
        client = await self._clients.find(client_id) if "client_id" not in repeated else None
        if client is None:
            raise UntrustedRequest("The application that sent you here is not known.")
        fits = "redirect_uri" not in repeated and len(redirect_uri) <= LONGEST_URI
        if not fits or not is_registered(redirect_uri, client.redirect_uris, any_port=not client.own):
            raise UntrustedRequest("The application that sent you here gave an address that is not its own.", client)
        return client, redirect_uri


def _faults(given: Mapping[str, str], client: RegisteredClient) -> tuple[tuple[bool, str, str], ...]:
    """Return each fault that a request can have: whether it has it, `error` and `error_description`."""
    unsupported = next((name for name in _NOT_SUPPORTED if name in given), None)
    response_type, prompt = given.get("response_type"), _prompt(given)
    no_digest = not _CHALLENGE.fullmatch(given.get("code_challenge", ""))
    no_codes = GrantType.AUTHORIZATION_CODE not in client.grants
    too_much = len(given.get("scope", "")) > _LONGEST_SCOPE or not _asked(given, client) <= client.scope
    return (
        (unsupported is not None, f"{unsupported}_not_supported", f"{unsupported} is not supported."),
        (response_type is None, "invalid_request", "response_type is missing."),
        (response_type != "code", "unsupported_response_type", "response_type can only be code."),
        (no_codes, "unauthorized_client", "The client may not use this grant."),
        (given.get("response_mode", "query") != "query", "invalid_request", "response_mode can only be query."),
        ("select_account" in prompt, "account_selection_required", "A browser is signed in to one account."),
        (not prompt <= _PROMPTS, "invalid_request", "prompt can only be login, consent, both, or none."),
        ("none" in prompt and len(prompt) > 1, "invalid_request", "prompt=none goes with no other value."),
        # A method that is left out means `plain`, which protects nothing (ASVS 10.4.6).
        (given.get("code_challenge_method") != "S256", "invalid_request", "code_challenge_method can only be S256."),
        (no_digest, "invalid_request", "code_challenge is the SHA-256 of the verifier: 43 characters of base64url."),
        (not _AGE.fullmatch(given.get("max_age", "0")), "invalid_request", "max_age is a number of seconds."),
        (too_much, "invalid_scope", "The scope asks for more than the client may have."),
    )


def _prompt(given: Mapping[str, str]) -> frozenset[str]:
    return frozenset(given.get("prompt", "").split(" ")) - {""}


def _asked(given: Mapping[str, str], client: RegisteredClient) -> frozenset[str]:
    """Return the scope of the request, or else all that the client may have; the service's own clients name theirs."""
    scope = given.get("scope")
    if scope is None and not client.own:
        return client.scope
    return frozenset((scope or "").split(" "))
