"""The authorization endpoint: a client asks, the user decides (RFC 6749 section 4.1, RFC 9700).

A request that cannot be trusted ends on a page here. Everything else goes back to the client by a redirect, whose
address is one that is registered.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from app.access.policies import Authenticated, Public, policy
from app.access.principal import CurrentPrincipal
from app.core.errors import Forbidden
from app.features.authorization.service import AuthorizationRequest, RefusedRequest
from app.features.pages.addresses import LONGEST_PATH, with_next
from app.features.pages.destinations import AUTHORIZE, pairs_of, policy_for
from app.features.pages.forms import FormBody, read_form
from app.features.pages.page import CurrentPage
from app.features.pages.route import PageRoute
from app.features.pages.services import Authorization
from app.features.pages.texts import scope_texts
from app.http.body_limit import KIB

router = APIRouter(route_class=PageRoute)


class Decision(FormBody):
    """What the user decides; `request` is the query of the request that they were shown."""

    request: Annotated[str, Field(max_length=LONGEST_PATH)]
    decision: Literal["allow", "deny"]


@router.get(AUTHORIZE)
@policy(Public())
async def ask(request: Request, page: CurrentPage, authorization: Authorization) -> Response:
    """Ask the user, unless there is nothing to ask; whoever is not signed in is asked for that first."""
    query = request.url.query
    try:
        asked = await authorization.check(pairs_of(query))
        if page.visitor is None:
            return page.go(with_next("/login", f"{AUTHORIZE}?{query}"))
        principal = page.visitor.principal
        if authorization.needs_sign_in(asked, principal.authenticated_at):
            return page.go(with_next("/confirm", f"{AUTHORIZE}?{query}"))
        if not await authorization.needs_consent(principal.user_id, asked):
            return page.go(await authorization.approve(principal, asked))
    except RefusedRequest as refused:
        return page.go(refused.location)
    policy_of_page = await policy_for(request, f"{AUTHORIZE}?{query}")
    days = request.app.state.settings.session_max_days
    return page.show("consent.html", policy=policy_of_page, days=days, **_shown(asked, query))


@router.post(AUTHORIZE, max_body_size=16 * KIB)
@policy(Authenticated())
async def decide(
    request: Request, page: CurrentPage, authorization: Authorization, principal: CurrentPrincipal
) -> Response:
    """Take the decision to the client. What it is about is read anew: the form holds nothing that would be believed."""
    if "Authorization" in request.headers:
        # Otherwise a client with a token could allow itself, or another one, in the user's name.
        message = "The user decides, with a browser. A token cannot."
        raise Forbidden(message)
    _, typed = await read_form(request, Decision, "error_form.html")
    try:
        asked = await authorization.check(pairs_of(typed.request))
        if typed.decision == "deny":
            return page.go(authorization.deny(asked))
        return page.go(await authorization.approve(principal, asked))
    except RefusedRequest as refused:
        return page.go(refused.location)


def _shown(asked: AuthorizationRequest, query: str) -> dict[str, object]:
    return {
        "client": asked.client,
        "redirect_uri": asked.redirect_uri,
        "scopes": scope_texts(asked.scope),
        "query": query,
    }
