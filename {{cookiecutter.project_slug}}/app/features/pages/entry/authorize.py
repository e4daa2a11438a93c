"""The authorization endpoint: a client asks, the user decides (RFC 6749 section 4.1, RFC 9700).

Redirects, to registered URIs alone, wait until a user has signed in: a link that led elsewhere at once would be bait
(RFC 9700 section 4.11.2). The exception is `prompt=none` of a sound request, which asks for that.
"""

from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Request
from pydantic import Field
from starlette.responses import Response

from app.access.policies import Authenticated, Public
from app.core.errors import BadRequest
from app.core.events import emit_event
from app.core.services import provided, services_of
from app.core.settings.model import Settings
from app.features.accounts.administration import denied
from app.features.accounts.routes import Roles
from app.features.authorization.requests import AuthorizationRequest, RefusedRequest, RequestReader, UntrustedRequest
from app.features.authorization.service import AuthorizationService
from app.features.oauth.events import ClientEvent
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.page import Authorization, CurrentPage, HtmlPage, PageRouter, content_security_policy
from app.features.pages.kit.urls import FACTORS, LONGEST_PATH, safe_next_path, with_next
from app.features.sessions.devices import Client, RequestClient
from app.http.request.body_limit import KIB

router = PageRouter(__name__)

AUTHORIZE = "/oauth/authorize"

_MOST_PARAMETERS = 50
_TOO_LONG = f"The parameters are longer than {LONGEST_PATH} characters."

Requests = Annotated[RequestReader, provided(RequestReader)]


class Decision(FormBody):
    """The user's decision; `request` is the query of the request, `scope` what the page said of it."""

    request: Annotated[str, Field(max_length=LONGEST_PATH)]
    decision: Literal["allow", "deny"]
    scope: Annotated[str, Field(max_length=LONGEST_PATH)] | None = None


@router.page(AUTHORIZE, Public())
async def ask(
    page: CurrentPage, requests: Requests, authorization: Authorization, roles: Roles, origin: RequestClient
) -> Response:
    """Ask the user to decide, after the sign-in; go straight back to the client if there is nothing to ask."""
    query = page.request.url.query
    if page.signed_in is None and safe_next_path(f"{AUTHORIZE}?{query}") is None:
        # The sign-in could not lead back to it.
        raise BadRequest(_TOO_LONG)
    headers = await headers_for(page.request, f"{AUTHORIZE}?{query}")
    try:
        asked = await _check(requests, query)
    except RefusedRequest as refused:
        waiting = with_next("/login", f"{AUTHORIZE}?{query}")
        return page.go(refused.location if page.signed_in else waiting, headers=headers)
    try:
        location = await _without_asking(page, authorization, asked, query, origin)
    except RefusedRequest as refused:
        location = refused.location
    if location is not None:
        return page.go(location, headers=headers)
    scope = asked.granted(page.principal)
    return page.show(
        "consent.html", headers=headers, client=asked.client, redirect_uri=asked.redirect_uri,
        scopes=roles.describe(scope), scope=" ".join(sorted(scope)), query=query,
    )  # fmt: skip


@router.form(AUTHORIZE, Authenticated(), max_body_size=16 * KIB)
async def decide(
    page: CurrentPage, requests: Requests, authorization: Authorization, origin: RequestClient
) -> Response:
    """Take the decision to the client. The request is checked again: the form can only narrow its scope."""
    if "Authorization" in page.request.headers:
        # Otherwise a client with a token could allow itself, or another one, in the user's name.
        raise denied("The user decides, with a browser. A token cannot.")
    async with page.form(Decision, "error_form.html") as typed:
        headers = await headers_for(page.request, f"{AUTHORIZE}?{typed.request}")
    try:
        asked = await _check(requests, typed.request)
        if typed.decision == "deny":
            return page.go(await authorization.decline(page.principal, asked), headers=headers)
        if typed.scope is not None:
            # The consent covers what the page said, even if the user got more rights meanwhile.
            asked = replace(asked, scope=asked.scope.intersection(typed.scope.split()))
        if authorization.consent_needs_sign_in(page.principal, asked):
            return page.go(with_next("/confirm", f"{AUTHORIZE}?{typed.request}"), headers=headers)
        return page.go(await authorization.approve(page.principal, asked, origin, asked=True), headers=headers)
    except RefusedRequest as refused:
        return page.go(refused.location, headers=headers)


async def _check(requests: RequestReader, query: str) -> AuthorizationRequest:
    """Read a request. An event records one that cannot be trusted, and repeats nothing that was sent."""
    try:
        return await requests.read(_pairs_of(query))
    except UntrustedRequest as untrusted:
        target = {"target_type": "client", "target_id": untrusted.client.id} if untrusted.client else {}
        emit_event(ClientEvent.CLIENT_AUTHENTICATION_FAILED, outcome="denied", reason=untrusted.detail, **target)
        raise


async def _without_asking(
    page: HtmlPage, authorization: AuthorizationService, asked: AuthorizationRequest, query: str, origin: Client
) -> str | None:
    """Return where to send the browser, or None if the user is to decide first; raises `RefusedRequest`."""
    if safe_next_path(f"{AUTHORIZE}?{query}") is None:
        asked.refuse("invalid_request", _TOO_LONG)
    signed_in, silent = page.signed_in, "none" in asked.prompt
    if signed_in is None or authorization.needs_sign_in(asked, signed_in.principal.authenticated_at):
        if silent:
            asked.refuse("login_required", "The user has to sign in.")
        return with_next("/confirm" if signed_in else "/login", f"{AUTHORIZE}?{_once_signed_in(query)}")
    if signed_in.principal.needs_factor:
        if silent:
            asked.refuse("login_required", "The user has to add a second factor.")
        return FACTORS
    authorization.require_grantable(signed_in.principal, asked)
    if await authorization.needs_consent(signed_in.principal, asked):
        if silent:
            asked.refuse("consent_required", "The user has to be asked.")
        if authorization.consent_needs_sign_in(signed_in.principal, asked):
            return with_next("/confirm", f"{AUTHORIZE}?{query}")
        return None
    return await authorization.approve(signed_in.principal, asked, origin, asked=False)


def _once_signed_in(query: str) -> str:
    """Return the same request without `prompt=login`, which is done by then."""
    pairs = _pairs_of(query)
    rest = [(name, value.replace("login", "").strip() if name == "prompt" else value) for name, value in pairs]
    return query if rest == pairs else urlencode(rest)


async def headers_for(request: Request, next_path: str, *, scripts: bool = False) -> dict[str, str]:
    """Return the headers of a page whose form leads to the path, which may lead on to an OAuth client.

    Browsers check every redirect after a form against `form-action`: it names the client's origin. A client may wait
    for a pop-up to report: any `Cross-Origin-Opener-Policy` but `unsafe-none` cuts that tie, on redirects too.
    """
    path, _, query = next_path.partition("?")
    services = services_of(request.app)
    if path != AUTHORIZE:
        return {}
    try:
        redirect_uri = (await services[RequestReader].read(_pairs_of(query))).redirect_uri
    except RefusedRequest as refused:
        redirect_uri = refused.location
    except BadRequest:
        return {}
    allowed = content_security_policy(form_action=[_source_of(redirect_uri)], scripts=scripts)
    policy = {"Content-Security-Policy": allowed}
    own = redirect_uri.startswith(f"{services[Settings].public_url}/")
    return policy if own else policy | {"Cross-Origin-Opener-Policy": "unsafe-none"}


def _pairs_of(query: str) -> list[tuple[str, str]]:
    """Return the parameters of a query, in order, empty ones too; raises `BadRequest` if there are too many."""
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise BadRequest("The address has too many parameters.") from None


def _source_of(redirect_uri: str) -> str:
    """Return the source of a policy: the origin, or the scheme if a policy cannot name the host."""
    parts = urlsplit(redirect_uri)
    named = parts.scheme in {"http", "https"} and "[" not in parts.netloc
    return f"{parts.scheme}://{parts.netloc}" if named else f"{parts.scheme}:"
