"""The authorization endpoint: a client asks, the user decides (RFC 6749 section 4.1, RFC 9700).

A request that cannot be trusted ends on a page here. Everything else goes back to the client by a redirect, whose
address is one that is registered. Errors wait until somebody is signed in: a link to this service that led elsewhere at
once would be bait (RFC 9700 section 4.11.2). The exception is `prompt=none` of a sound request, which asks for that.
"""

from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from app.access.policies import Authenticated, Public, policy
from app.access.principal import CurrentPrincipal, Principal
from app.access.roles import RoleTable
from app.core.errors import BadRequest
from app.core.events.flow import emit_event
from app.core.services import services_of
from app.core.settings.model import Settings
from app.features.accounts.authority import denied
from app.features.authorization.service import (
    AuthorizationRequest,
    AuthorizationService,
    RefusedRequest,
    UntrustedRequest,
    granted,
)
from app.features.oauth.events import ClientEvent
from app.features.pages.entry.csp import AUTHORIZE, headers_for, pairs_of
from app.features.pages.kit.forms import FormBody, read_form
from app.features.pages.kit.page import CurrentPage, HtmlPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.services import Authorization
from app.features.pages.kit.urls import LONGEST_PATH, safe_next_path, with_next
from app.features.sessions.client import Client, RequestClient
from app.http.request.body_limit import KIB

router = APIRouter(route_class=PageRoute)

_TOO_LONG = f"The parameters are longer than {LONGEST_PATH} characters."


class Decision(FormBody):
    """What the user decides; `request` is the query of the request, `scope` what the page said of it."""

    request: Annotated[str, Field(max_length=LONGEST_PATH)]
    decision: Literal["allow", "deny"]
    scope: Annotated[str, Field(max_length=LONGEST_PATH)] | None = None


@router.get(AUTHORIZE)
@policy(Public())
async def ask(request: Request, page: CurrentPage, authorization: Authorization, origin: RequestClient) -> Response:
    """Ask the user, unless there is nothing to ask; whoever is not signed in is asked for that first."""
    query = request.url.query
    if page.signed_in is None and safe_next_path(f"{AUTHORIZE}?{query}") is None:
        # It cannot be kept until somebody has signed in.
        raise BadRequest(_TOO_LONG)
    headers = await headers_for(request, f"{AUTHORIZE}?{query}")
    try:
        asked = await _check(authorization, query)
    except RefusedRequest as refused:
        waiting = with_next("/login", f"{AUTHORIZE}?{query}")
        return page.go(refused.location if page.signed_in else waiting, headers=headers)
    try:
        location = await _without_asking(page, authorization, asked, query, origin)
    except RefusedRequest as refused:
        location = refused.location
    if location is not None:
        return page.go(location, headers=headers)
    days, signed_in = services_of(request.app)[Settings].session_max_days, page.signed_in
    assert signed_in is not None  # noqa: S101  # who is not signed in has been sent to do so
    scope = granted(signed_in.principal, asked)
    return page.show(
        "consent.html", headers=headers, days=days, client=asked.client, redirect_uri=asked.redirect_uri,
        scopes=services_of(request.app)[RoleTable].describe(scope), scope=" ".join(sorted(scope)), query=query,
    )  # fmt: skip


@router.post(AUTHORIZE, max_body_size=16 * KIB)
@policy(Authenticated())
async def decide(
    request: Request,
    page: CurrentPage,
    authorization: Authorization,
    principal: CurrentPrincipal,
    origin: RequestClient,
) -> Response:
    """Take the decision to the client. What it is about is read anew: the form can only narrow it."""
    if "Authorization" in request.headers:
        # Otherwise a client with a token could allow itself, or another one, in the user's name.
        raise denied("The user decides, with a browser. A token cannot.")
    _, typed = await read_form(request, Decision, "error_form.html")
    headers = await headers_for(request, f"{AUTHORIZE}?{typed.request}")
    try:
        asked = await _check(authorization, typed.request)
        location = (
            await authorization.decline(principal, asked)
            if typed.decision == "deny"
            else await _allowed(authorization, principal, asked, typed, origin)
        )
    except RefusedRequest as refused:
        location = refused.location
    return page.go(location, headers=headers)


async def _check(authorization: AuthorizationService, query: str) -> AuthorizationRequest:
    """The request of a query. One that cannot be trusted is told as an event, which repeats nothing that was sent."""
    try:
        return await authorization.check(pairs_of(query))
    except UntrustedRequest as untrusted:
        target = {"target_type": "client", "target_id": untrusted.client.id} if untrusted.client else {}
        event = ClientEvent.CLIENT_AUTHENTICATION_FAILED
        emit_event(event, outcome="denied", reason=untrusted.detail, **target)
        raise


async def _allowed(
    authorization: AuthorizationService,
    principal: Principal,
    asked: AuthorizationRequest,
    typed: Decision,
    origin: Client,
) -> str:
    """Where the user's consent leads. It covers what the page said, though they may have got other rights meanwhile."""
    if typed.scope is not None:
        asked = replace(asked, scope=asked.scope.intersection(typed.scope.split()))
    if authorization.consent_needs_sign_in(principal, asked):
        return with_next("/confirm", f"{AUTHORIZE}?{typed.request}")
    return await authorization.approve(principal, asked, origin)


async def _without_asking(
    page: HtmlPage, authorization: AuthorizationService, asked: AuthorizationRequest, query: str, origin: Client
) -> str | None:
    """Where to send the browser, or None if its user is to decide on this page first; raises `RefusedRequest`."""
    if safe_next_path(f"{AUTHORIZE}?{query}") is None:
        authorization.refuse(asked, "invalid_request", _TOO_LONG)
    signed_in, silent = page.signed_in, "none" in asked.prompt
    if signed_in is None or authorization.needs_sign_in(asked, signed_in.principal.authenticated_at):
        if silent:
            authorization.refuse(asked, "login_required", "The user has to sign in.")
        return with_next("/confirm" if signed_in else "/login", f"{AUTHORIZE}?{_once_signed_in(query)}")
    authorization.require_grantable(signed_in.principal, asked)
    if await authorization.needs_consent(signed_in.principal, asked):
        if silent:
            authorization.refuse(asked, "consent_required", "The user has to be asked.")
        if authorization.consent_needs_sign_in(signed_in.principal, asked):
            return with_next("/confirm", f"{AUTHORIZE}?{query}")
        return None
    return await authorization.approve(signed_in.principal, asked, origin)


def _once_signed_in(query: str) -> str:
    """The same request, of which `prompt=login` is done."""
    pairs = [
        (name, value.replace("login", "").strip() if name == "prompt" else value) for name, value in pairs_of(query)
    ]
    return query if pairs == pairs_of(query) else urlencode(pairs)
