"""Authorization requests: what a browser brings from a client (RFC 6749 section 4.1.1, RFC 7636, RFC 9700).

A request whose client or redirect address is not one that is registered is answered here, on a page, and never with a
redirect: that would send a user, and what is in the address, to whoever wrote the link. Every other fault is told to
the client, at the address that is known to be its own.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlencode

from app.core.errors import BadRequest
from app.features.oauth.clients.redirect_uris import LONGEST_URI, is_registered
from app.features.oauth.clients.registered import GrantType, RegisteredClient
from app.features.oauth.clients.service import ClientService
from app.features.oauth.resources import is_own_resource

_LONGEST_SCOPE = 2000
_LONGEST_AGE = 10  # digits
_STATE = re.compile(r"[\x20-\x7e]*", re.ASCII)
_CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)
# The SHA-256 of the verifier in base64url (RFC 7636 section 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)

# What OpenID Connect and other extensions would change the meaning of a request with: not known here, and so refused
# by name (`request_not_supported` and so on) instead of passed over.
_NOT_SUPPORTED = ("request", "request_uri", "registration")
_PROMPTS = frozenset({"none", "login", "consent"})

_Fault = tuple[str, str]
"""The `error` and the `error_description` that the client is told."""


class UntrustedRequest(BadRequest):
    """The client or its redirect address is not known: for a page of this service, never for a redirect."""

    def __init__(self, detail: str, client: RegisteredClient | None = None) -> None:
        super().__init__(detail)
        self.client = client


class RefusedRequest(Exception):  # noqa: N818  # an answer more than an error
    """The client is told, by a redirect to `location`, that it does not get a code; `error` is what is said."""

    def __init__(self, error: str, location: str) -> None:
        super().__init__(error)
        self.error = error
        self.location = location


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that can be approved or denied: `scope` is what the client asks for, and may have.

    `max_age` is how many seconds ago the user may have proved who they are, at most (RFC 9470 section 4). `prompt` is
    what to ask the user in any case, or `none` for nothing (OpenID Connect Core section 3.1.2.1).
    """

    client: RegisteredClient
    redirect_uri: str
    state: str | None
    scope: frozenset[str]
    code_challenge: str
    max_age: int | None
    prompt: frozenset[str]


class RequestReader:
    """Reads authorization requests."""

    def __init__(self, clients: ClientService, issuer: str) -> None:
        self._clients = clients
        self._issuer = issuer

    async def read(self, pairs: Sequence[tuple[str, str]]) -> AuthorizationRequest:
        """Read the parameters of the query; raises `UntrustedRequest` or `RefusedRequest`."""
        given: dict[str, str] = {name: value for name, value in pairs if value}
        # RFC 8707 section 2: the one parameter that may be repeated.
        resources = frozenset(value for name, value in pairs if name == "resource" and value)
        counts = Counter(name for name, _ in pairs if name != "resource")
        repeated = {name for name, count in counts.items() if count > 1}
        client, redirect_uri = await self._trusted(given, repeated)
        state = given.get("state")
        if state is not None and ("state" in repeated or not _STATE.fullmatch(state)):
            self.refuse(redirect_uri, None, "invalid_request", "There is one state, of printable ASCII.")
        if repeated:
            self.refuse(redirect_uri, state, "invalid_request", "A parameter is there more than once.")
        fault = _fault(given, client)
        if fault is not None:
            self.refuse(redirect_uri, state, *fault)
        if not is_own_resource(resources, self._issuer):
            self.refuse(redirect_uri, state, "invalid_target", f"The one resource is {self._issuer}")
        return AuthorizationRequest(
            client=client,
            redirect_uri=redirect_uri,
            state=state,
            scope=_asked(given, client),
            code_challenge=given["code_challenge"],
            max_age=int(given["max_age"]) if "max_age" in given else None,
            prompt=_prompt(given),
        )

    def answer(self, redirect_uri: str, state: str | None, **parameters: str) -> str:
        """The redirect address with an answer, which says whose it is (RFC 9207)."""
        answer = parameters | ({} if state is None else {"state": state}) | {"iss": self._issuer}
        return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(answer)}"

    def refuse(self, redirect_uri: str, state: str | None, error: str, description: str) -> NoReturn:
        """Raise the `RefusedRequest` that tells the client of an error (RFC 6749 section 4.1.2.1)."""
        raise RefusedRequest(error, self.answer(redirect_uri, state, error=error, error_description=description))

    async def _trusted(self, given: Mapping[str, str], repeated: set[str]) -> tuple[RegisteredClient, str]:
        """The client and its redirect address, each named once; the address always (RFC 9700 section 2.1)."""
        client_id, redirect_uri = given.get("client_id", ""), given.get("redirect_uri", "")
        known = "client_id" not in repeated and _CLIENT_ID.fullmatch(client_id)
        client = await self._clients.find(client_id) if known else None
        if client is None:
            raise UntrustedRequest("The application that sent you here is not known.")
        fits = "redirect_uri" not in repeated and len(redirect_uri) <= LONGEST_URI
        if not fits or not is_registered(redirect_uri, client.redirect_uris, any_port=not client.own):
            raise UntrustedRequest("The application that sent you here gave an address that is not its own.", client)
        return client, redirect_uri


def _fault(given: Mapping[str, str], client: RegisteredClient) -> _Fault | None:
    """What is wrong with a request from a client that is known, if anything is."""
    unsupported = next((name for name in _NOT_SUPPORTED if name in given), None)
    response_type, prompt = given.get("response_type"), _prompt(given)
    faults = (
        (unsupported is not None, f"{unsupported}_not_supported", f"{unsupported} is not supported."),
        (response_type is None, "invalid_request", "response_type is missing."),
        (response_type != "code", "unsupported_response_type", "response_type can only be code."),
        (
            GrantType.AUTHORIZATION_CODE not in client.grants,
            "unauthorized_client",
            "The client may not use this grant.",
        ),
        (given.get("response_mode", "query") != "query", "invalid_request", "response_mode can only be query."),
        ("select_account" in prompt, "account_selection_required", "A browser is signed in to one account."),
        (not prompt <= _PROMPTS, "invalid_request", "prompt can only be login, consent, both, or none."),
        ("none" in prompt and len(prompt) > 1, "invalid_request", "prompt=none goes with no other value."),
        # A method that is left out means `plain`, which protects nothing (ASVS 10.4.6).
        (given.get("code_challenge_method") != "S256", "invalid_request", "code_challenge_method can only be S256."),
        (
            not _CHALLENGE.fullmatch(given.get("code_challenge", "")),
            "invalid_request",
            "code_challenge is the SHA-256 of the verifier: 43 characters of base64url.",
        ),
        (not _is_age(given.get("max_age", "0")), "invalid_request", "max_age is a number of seconds."),
        (
            len(given.get("scope", "")) > _LONGEST_SCOPE or not _asked(given, client) <= client.scope,
            "invalid_scope",
            "The scope asks for more than the client may have.",
        ),
    )
    return next(((error, description) for is_there, error, description in faults if is_there), None)


def _prompt(given: Mapping[str, str]) -> frozenset[str]:
    return frozenset(given.get("prompt", "").split(" ")) - {""}


def _asked(given: Mapping[str, str], client: RegisteredClient) -> frozenset[str]:
    """What is asked for: all that the client may have, unless it says so. The service's own clients say so always."""
    scope = given.get("scope")
    if scope is None and not client.own:
        return client.scope
    return frozenset((scope or "").split(" "))


def _is_age(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_AGE
