"""The pages: to a provider, back from it, and what is linked with my account.

What a sign-in needs at its end stays with the browser, sealed in a cookie of ten minutes: an answer that comes to
another browser, once more, or for another sign-in opens nothing (RFC 9700 section 4.7).
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import orjson
from fastapi import Form
from limits import RateLimitItemPerHour, RateLimitItemPerMinute, parse as parse_limit
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.requests import Request
from starlette.responses import Response

from app.access.guard import GuardedRouter
from app.access.policies import Public, policy
from app.core.clock import utc_now
from app.core.crypto import KeyRing, Purpose, SealBrokenError, Sealer, digest
from app.core.errors import BadRequest, NotFound, Problem
from app.core.events import emit_event
from app.core.limits import Limiter, subscriber
from app.core.services import Services, provided
from app.core.settings.model import Settings
from app.features.identity.api import CHANGES, READS, Identities
from app.features.identity.events import IdentityEvent
from app.features.identity.github import GitHubClient
from app.features.identity.logout_token import RefusedLogout
from app.features.identity.provider import Attempt, ProviderClient
from app.features.identity.service import FEDERATED
from app.features.identity.settings import IdentitySettings
from app.features.pages.entry.signin import channel_of, go_on, onward_from
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.page import Browsers, CurrentPage, HtmlPage, PageRouter
from app.features.pages.kit.site import Notice
from app.features.pages.kit.urls import HOME
from app.features.sessions.devices import Client, RequestClient
from app.features.signin.events import SignInEvent
from app.features.signin.limits import Attempt as CountedAttempt
from app.http.request.body_limit import KIB

IDENTITIES = "/account/identities"
IDENTITY_ATTEMPT = Purpose("identity-attempt/v1")
_COOKIE, _LIFETIME = "__Host-identity", timedelta(minutes=10)
_ONCE, _LOGOUTS = RateLimitItemPerHour(1), RateLimitItemPerMinute(60)
# A cookie has 4,096 bytes, and base64 makes a path longer by a third.
_LONGEST_NEXT = 2500
_BEGIN_AGAIN = "This sign-in has expired, was used, or began in another browser. Begin again."

_PAGE = "account_identities.html"

router = PageRouter(__name__)
logout_router = GuardedRouter(include_in_schema=False)


class IdentityNotice(Notice):
    """Notices about identities."""

    LINKED = "identity-linked", "The sign-in has been linked. You can sign in with it from now on."
    UNLINKED = "identity-unlinked", "The sign-in has been unlinked. Every other session of yours has ended."


class Pending(NamedTuple):
    """A sign-in, or the linking of one to the account of a session, that waits for its provider."""

    provider: str
    secret: str
    next_path: str
    session_id: str | None


class Begin(FormBody):
    """The page to go on to, and whether somebody who is signed in confirms that."""

    next: str = HOME
    again: bool = False


class Providers:
    """The providers by name, and what is under way with them."""

    def __init__(self, services: Services) -> None:
        settings = services[Settings]
        callback = f"{settings.public_url}/login/callback/"
        named = services[IdentitySettings].providers
        kinds = {each.name: GitHubClient if each.is_github else ProviderClient for each in named}
        self._clients = {each.name: kinds[each.name](each, callback + each.name) for each in named}
        self._sealer = Sealer(services[KeyRing], IDENTITY_ATTEMPT)
        self._limiter, self._limit = services[Limiter], parse_limit(settings.rate_limit_signin)

    def __getitem__(self, name: str) -> ProviderClient:
        """Return the client of a provider; raises `NotFound`."""
        if name not in self._clients:
            raise NotFound("There is no such provider.")
        return self._clients[name]

    async def begin(
        self, page: HtmlPage, name: str, next_path: str, session_id: UUID | None, *, again: bool
    ) -> Response:
        """Send the browser to the provider, with a page of ours: a redirect would need its origin in `form-action`."""
        attempt, chosen = Attempt.new(), self[name]
        url = await chosen.authorization_url(attempt, again=again)
        next_path = next_path if len(next_path) <= _LONGEST_NEXT else HOME
        pending = Pending(name, attempt.secret, next_path, str(session_id) if session_id else None)
        going, label = {"Refresh": f"0; url={url}"}, chosen.provider.label
        response = page.show("identity_going.html", headers=going, url=url, label=label)
        ends = int((utc_now() + _LIFETIME).timestamp())
        sealed = self._sealer.seal(orjson.dumps([ends, *pending]), identity=_COOKIE.encode())
        value, seconds = urlsafe_b64encode(sealed).decode(), int(_LIFETIME.total_seconds())
        response.set_cookie(_COOKIE, value, seconds, path="/", secure=True, httponly=True, samesite="lax")
        return response

    def pending(self, request: Request, name: str) -> Pending:
        """Return what this browser began with the provider; raises `BadRequest`."""
        with suppress(SealBrokenError, ValueError):
            sealed = urlsafe_b64decode(request.cookies.get(_COOKIE, ""))
            ends, *fields = orjson.loads(self._sealer.open(sealed, identity=_COOKIE.encode()))
            pending = Pending(*fields)
            if ends > utc_now().timestamp() and pending.provider == name:
                return pending
        raise BadRequest(_BEGIN_AGAIN)

    async def claims(self, pending: Pending, request: Request) -> dict[str, Any]:
        """Return who the provider says that came back, once; raises `BadRequest` and what the client raises."""
        query, attempt = request.query_params, Attempt(pending.secret)
        is_ours = hmac.compare_digest(query.get("state", "").encode(), attempt.part("state").encode())
        if not is_ours or not (await self._limiter.hit(_ONCE, "identity", attempt.part("state"))).allowed:
            raise BadRequest(_BEGIN_AGAIN)
        if "code" not in query:
            raise BadRequest(f"{self[pending.provider].provider.label} has not signed you in. Begin again.")
        return await self[pending.provider].claims(attempt, query["code"], query.get("iss"))

    @asynccontextmanager
    async def counted(self, client: Client) -> AsyncIterator[None]:
        """Count the answer to what a browser began for its network, unless it is right; raises `TooManyRequests`."""
        attempt = CountedAttempt(self._limiter)
        verdict = await attempt.count(self._limit, "provider", subscriber(client.ip))
        if not verdict.allowed:
            attempt.over = verdict, "network"
            attempt.refuse_over()
        yield
        await attempt.give_back()

    async def logout_claims(self, name: str, token: str, client: Client) -> dict[str, Any]:
        """Return what a logout token says that is right and new; raises `TooManyRequests` and as the client does."""
        chosen, key = self[name], ("logout", name, subscriber(client.ip))
        verdict = await self._limiter.hit(_LOGOUTS, *key)
        verdict.require("Too many logout tokens. Try again later.")
        claims = await chosen.logout_claims(token)
        if not (await self._limiter.hit(_ONCE, *_use_of(name, claims))).allowed:
            raise RefusedLogout("it was used before")
        await self._limiter.refund(_LOGOUTS, *key)
        return claims

    async def forget_logout(self, name: str, claims: dict[str, Any]) -> None:
        """Let a logout token be used once more: it has ended nothing."""
        await self._limiter.refund(_ONCE, *_use_of(name, claims))


def _use_of(name: str, claims: dict[str, Any]) -> tuple[str, ...]:
    return "logout", name, digest(claims["jti"]).hex()


Known = Annotated[Providers, provided(Providers)]


@router.form("/login/with/{name}", Public(), max_body_size=16 * KIB)
async def begin(name: str, page: CurrentPage, providers: Known) -> Response:
    """Begin a sign-in with a provider."""
    onward = await onward_from(page, str((await page.request.form()).get("next", "")))
    async with page.form(Begin, "login.html", cookie_lost=False, **onward) as typed:
        return await providers.begin(page, name, onward["next_path"], None, again=typed.again)


@router.page("/login/callback/{name}", Public())
async def come_back(
    name: str, page: CurrentPage, providers: Known, identities: Identities, browsers: Browsers, client: RequestClient
) -> Response:
    """End a sign-in as one with a password ends, or link it to the account of the session that began it."""
    provider, pending, onward = providers[name].provider, None, await onward_from(page, None)
    channel = channel_of(browsers, client)
    try:
        pending = providers.pending(page.request, name)
        async with providers.counted(client):
            claims = await providers.claims(pending, page.request)
            if pending.session_id is None:
                onward = await onward_from(page, pending.next_path)
                response = await go_on(page, browsers, onward, await identities.sign_in(provider, claims, channel))
            elif page.signed_in is None or str(page.principal.session_id) != pending.session_id:
                raise BadRequest(_BEGIN_AGAIN)
            else:
                await identities.link(page.principal, provider, claims, client)
                response = page.go(IDENTITIES, IdentityNotice.LINKED)
    except Problem as problem:
        if pending:  # Else a link on any site would fill the trail.
            _emit_failure(provider.name, problem)
        shown: dict[str, Any] = {"status": problem.status, "errors": {"": f"{provider.label}: {problem.detail}"}}
        if pending and pending.session_id and page.signed_in:
            own = await identities.list_own(page.principal.user_id)
            response = page.show(_PAGE, headers=problem.headers, identities=own, **shown)
        else:
            headers = {**onward.pop("headers"), **problem.headers}
            response = page.show("login.html", headers=headers, cookie_lost=False, **shown, **onward)
    response.delete_cookie(_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


class LogoutForm(BaseModel):
    """The parameter of a logout; others are ignored."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    logout_token: Annotated[SecretStr, Field(max_length=8 * KIB)]


@logout_router.post("/oauth/backchannel-logout/{name}", max_body_size=16 * KIB)
@policy(Public())
async def back_channel_logout(
    name: str, form: Annotated[LogoutForm, Form()], providers: Known, identities: Identities, client: RequestClient
) -> Response:
    """End the sessions that a provider's sign-in opened: they have ended there."""
    try:
        claims = await providers.logout_claims(name, form.logout_token.get_secret_value(), client)
    except RefusedLogout as problem:
        about = {"provider": name, "reason": problem.reason}
        emit_event(IdentityEvent.PROVIDER_LOGOUT_REFUSED, outcome="denied", **about)
        raise
    try:
        await identities.end_sessions(providers[name].provider, claims)
    except Exception:
        await providers.forget_logout(name, claims)
        raise
    return Response()


def _emit_failure(provider: str, problem: Problem) -> None:
    about = {"method": FEDERATED, "provider": provider, "reason": getattr(problem, "reason", type(problem).__name__)}
    user_id = getattr(problem, "user_id", None)
    emit_event(SignInEvent.SIGNIN_FAILED, outcome="failure", user_id=user_id, **about)


@router.page(IDENTITIES, READS)
async def identities_page(page: CurrentPage, identities: Identities) -> Response:
    """List what is linked with my account."""
    return page.show(_PAGE, identities=await identities.list_own(page.principal.user_id))


@router.form(f"{IDENTITIES}/link/{{name}}", CHANGES)
async def link(name: str, page: CurrentPage, providers: Known) -> Response:
    """Begin to link a sign-in with a provider: it takes the person's proof there."""
    return await providers.begin(page, name, IDENTITIES, page.principal.session_id, again=True)


@router.form(f"{IDENTITIES}/{{identity_id}}/unlink", CHANGES)
async def unlink(identity_id: UUID, page: CurrentPage, identities: Identities, client: RequestClient) -> Response:
    """Unlink one of my identities."""
    await identities.unlink(page.principal, identity_id, client)
    return page.go(IDENTITIES, IdentityNotice.UNLINKED)
