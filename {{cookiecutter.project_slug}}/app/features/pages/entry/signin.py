"""Signing in and out with a browser, and confirming that it is the user still; a challenge is a cookie of its own."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.responses import JSONResponse, Response

from app.access.policies import MFA, Authenticated, Public
from app.core.errors import Forbidden, Unauthenticated
from app.core.services import provided
from app.features.accounts.own_account import lock_confirmed
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.hasher import GivenPassword
from app.features.browser.cookie import clear_session_cookie, session_cookie, set_session_cookie
from app.features.browser.events import BrowserEvent
from app.features.browser.service import BrowserSessions
from app.features.factors.kinds import APP, PASSKEY, RECOVERY
from app.features.factors.schemas import FactorAnswer, OfferedCode, OfferedPasskey
from app.features.pages.entry.authorize import headers_for
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.page import Browsers, CurrentPage, HtmlPage, PageRouter, content_security_policy
from app.features.pages.kit.site import PagesNotice
from app.features.pages.kit.urls import HOME, page_before, safe_next_path, with_query
from app.features.sessions.devices import Client, RequestClient
from app.features.signin.password import Challenge, Channel, Opened, PasswordSignIn
from app.http.request.body_limit import KIB

router = PageRouter(__name__)

_SECOND_STEP, _CHALLENGE, _PASSKEY = "/login/factor", "__Host-signin", "__Host-passkey"
_PREFERRED = (PASSKEY, APP, RECOVERY)

SignIns = Annotated[PasswordSignIn, provided(PasswordSignIn)]
Confirmation = Annotated[PasswordConfirmation, provided(PasswordConfirmation)]
NextPath = Annotated[str | None, Query(alias="next")]


def channel_of(browsers: BrowserSessions, client: Client) -> Channel:
    """Return the channel of a browser."""
    return Channel("browser", client, browsers.attach)


class ConfirmForm(FormBody):
    """The password once more, and the page to go on to."""

    password: GivenPassword
    next: str = HOME


class SignInForm(FormBody):
    """Address and password, and the page to go on to."""

    # As long as an address may be typed: the answer does not tell whether it is one.
    email: Annotated[str, Field(max_length=320)]
    password: GivenPassword
    next: str = HOME


class FactorForm(FactorAnswer):
    """The answer of a factor, and the page to go on to."""

    next: str = HOME


async def onward_from(page: HtmlPage, path: str | None) -> dict[str, Any]:
    """Return the page to go on to, and the headers of a page whose form leads there."""
    path = safe_next_path(path) or HOME
    onward = await headers_for(page.request, path, scripts=True)
    return {"next_path": path, "headers": {"Content-Security-Policy": content_security_policy(scripts=True), **onward}}


@router.page("/login", Public())
async def login_page(page: CurrentPage, next_path: NextPath = None) -> Response:
    """Ask for address and password; a signed-in user goes on at once."""
    if page.signed_in:
        return page.go(safe_next_path(next_path) or HOME)
    # It may have signed in and not kept the cookie: a redirect keeps the `Referer` of the form, and over plain HTTP
    # Safari keeps no `Secure` cookie.
    tried = page_before(page.request) == "/login" or page.request.url.scheme == "http"
    lost = next_path is not None and session_cookie(page.request) is None and tried
    return page.show("login.html", cookie_lost=lost, **await onward_from(page, next_path))


@router.form("/login", Public(), max_body_size=16 * KIB)
async def login(page: CurrentPage, browsers: Browsers, signins: SignIns, client: RequestClient) -> Response:
    """Sign in. A session that the browser had before ends, and its id is never used again."""
    onward = await onward_from(page, str((await page.request.form()).get("next", "")))
    async with page.form(SignInForm, "login.html", cookie_lost=False, **onward) as typed:
        result = await signins.open_session(typed.email, typed.password, channel_of(browsers, client))
    return await go_on(page, browsers, onward, result)


async def go_on(
    page: HtmlPage, browsers: BrowserSessions, onward: dict[str, Any], result: Opened | Challenge
) -> Response:
    """Go on with a new session, in place of the one that the browser had, or to the second step."""
    if isinstance(result, Challenge):
        response = page.go(with_query(_SECOND_STEP, next=onward["next_path"]), headers=onward["headers"])
        response.set_cookie(_CHALLENGE, result.challenge, result.expires_in, secure=True, httponly=True, samesite="lax")
        return response
    if page.signed_in:
        await browsers.end(page.signed_in.principal)
    return set_session_cookie(page.go(onward["next_path"], headers=onward["headers"]), result.credential)


@router.form("/login/passkey/options", Public())
async def passkey_options(browsers: Browsers, signins: SignIns, client: RequestClient) -> Response:
    """Tell the script of the page how to ask for any passkey."""
    asked = await signins.ask(channel_of(browsers, client))
    response = JSONResponse(asked.factors[0].options)
    response.set_cookie(_PASSKEY, asked.challenge, asked.expires_in, secure=True, httponly=True, samesite="lax")
    return response


@router.form("/login/passkey", Public(), max_body_size=16 * KIB)
async def passkey(page: CurrentPage, browsers: Browsers, signins: SignIns, client: RequestClient) -> Response:
    """Sign in with a passkey alone; whoever is signed in confirms with one of theirs that it is them still."""
    onward = await onward_from(page, str((await page.request.form()).get("next", "")))
    template, only = ("confirm.html", page.principal.user_id) if page.signed_in else ("login.html", None)
    challenge = page.request.cookies.get(_PASSKEY, "")
    async with page.form(FactorForm, template, cookie_lost=False, **onward) as typed:
        opened = await signins.answer(challenge, typed, channel_of(browsers, client), only)
    return await go_on(page, browsers, onward, opened)


@router.page(_SECOND_STEP, Public())
async def factor_page(page: CurrentPage, browsers: Browsers, signins: SignIns, client: RequestClient) -> Response:
    """Ask for a second factor."""
    query = page.request.query_params
    onward = await onward_from(page, query.get("next"))
    offered = await signins.offered(page.request.cookies.get(_CHALLENGE, ""), channel_of(browsers, client))
    return (
        page.show("login_factor.html", **_choice(offered, query), **onward) if offered else _begin_again(page, onward)
    )


def _choice(offered: list[OfferedCode | OfferedPasskey], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return which of the factors to ask for: the one that is asked for, or the best."""
    options: dict[Any, Any] = {each.kind: each.options for each in offered}
    kind = asked.get("kind") if asked.get("kind") in options else min(options, key=_PREFERRED.index)
    return {"chosen": kind, "offered": [*options], "options": options[kind]}


def _begin_again(page: HtmlPage, onward: dict[str, Any]) -> Response:
    return page.go(with_query("/login", next=onward["next_path"], done=PagesNotice.SIGNIN_ENDED))


@router.form(_SECOND_STEP, Public(), max_body_size=16 * KIB)
async def factor(page: CurrentPage, browsers: Browsers, signins: SignIns, client: RequestClient) -> Response:
    """Complete the sign-in. A session that the browser had before ends, and its id is never used again."""
    sent, challenge = await page.request.form(), page.request.cookies.get(_CHALLENGE, "")
    onward, channel = await onward_from(page, str(sent.get("next", ""))), channel_of(browsers, client)
    offered = await signins.offered(challenge, channel)
    if not offered:
        return _begin_again(page, onward)
    choice = _choice(offered, sent)
    beside = {} if choice["chosen"] == PASSKEY else {"code": Unauthenticated}
    async with page.form(FactorForm, "login_factor.html", beside, **choice, **onward) as typed:
        opened = await signins.answer(challenge, typed, channel)
    response = await go_on(page, browsers, onward, opened)
    response.delete_cookie(_CHALLENGE, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.page("/logout", Public())
async def logout_page(page: CurrentPage) -> Response:
    """Ask whether to sign out: a link alone changes nothing."""
    return page.show("logout.html") if page.signed_in else page.go("/login")


@router.form("/logout", Public())
async def logout(page: CurrentPage, browsers: Browsers) -> Response:
    """Sign out: the session ends, so that a copy of the cookie opens nothing (ASVS 7.4.1)."""
    if page.signed_in:
        await browsers.end(page.signed_in.principal)
    response = page.go("/login")
    clear_session_cookie(response)
    return response


@router.page("/confirm", Authenticated(enrols=True))
async def confirm_page(page: CurrentPage, next_path: NextPath = None) -> Response:
    """Ask for the password once more."""
    return page.show("confirm.html", **await onward_from(page, next_path))


@router.form("/confirm", Authenticated(enrols=True), max_body_size=16 * KIB)
async def confirm(
    page: CurrentPage, browsers: Browsers, confirmation: Confirmation, signins: SignIns, client: RequestClient
) -> Response:
    """Record that it is still the same person, and give the browser a new id (ASVS 7.2.4, 7.5.3)."""
    onward = await onward_from(page, str((await page.request.form()).get("next", "")))
    async with page.form(ConfirmForm, "confirm.html", {"password": Forbidden}, **onward) as typed:
        confirmed = await confirmation.require(page.principal, typed.password, BrowserEvent.PASSWORD_CONFIRMED)
        lock = partial(lock_confirmed, confirmed=confirmed)
        if MFA in page.principal.methods:
            # Who signed in with a second factor needs it once more, which opens another session.
            challenge = await signins.ask(channel_of(browsers, client), (page.principal, lock))
            return await go_on(page, browsers, onward, challenge)
        set_cookie = await browsers.confirm(page.principal, lock)
    return set_cookie(page.go(onward["next_path"], headers=onward["headers"]))
