"""Signing in and out with a browser, and confirming that it is the user still; a challenge is a cookie of its own."""

from typing import Annotated, Any

from fastapi import Request
from pydantic import Field
from starlette.responses import Response

from app.access.policies import MFA, Authenticated, Public
from app.core.errors import Forbidden, Unauthenticated
from app.core.services import provided
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.hasher import GivenPassword
from app.features.browser.cookie import clear_session_cookie, session_cookie, set_session_cookie
from app.features.browser.events import BrowserEvent
from app.features.browser.service import BrowserSessions
from app.features.factors.kinds import RECOVERY
from app.features.factors.schemas import FactorAnswer
from app.features.pages.entry.authorize import headers_for
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import Browsers, CurrentPage, HtmlPage, PageRouter
from app.features.pages.kit.urls import HOME, page_before, safe_next_path, with_query
from app.features.sessions.client import Client, RequestClient
from app.features.signin.errors import WrongCredentialsError
from app.features.signin.password import Challenge, Channel, Opened, PasswordSignIn
from app.http.request.body_limit import KIB

router = PageRouter(__name__)

_SECOND_STEP, _CHALLENGE = "/login/factor", "__Host-signin"

SignIns = Annotated[PasswordSignIn, provided(PasswordSignIn)]
Confirmation = Annotated[PasswordConfirmation, provided(PasswordConfirmation)]


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
    """The code of a second factor, and the page to go on to."""

    next: str = HOME


async def onward_from(page: HtmlPage, path: str | None) -> dict[str, Any]:
    """Return the page to go on to, and the headers of a page whose form leads there."""
    path = safe_next_path(path) or HOME
    return {"next_path": path, "headers": await headers_for(page.request, path)}


@router.page("/login", Public())
async def login_page(page: CurrentPage, next: str | None = None) -> Response:  # noqa: A002  # the parameter's name
    """Ask for address and password; a signed-in user goes on at once."""
    if page.signed_in:
        return page.go(safe_next_path(next) or HOME)
    lost = next is not None and _may_have_lost_its_cookie(page.request)
    return page.show("login.html", cookie_lost=lost, **await onward_from(page, next))


def _may_have_lost_its_cookie(request: Request) -> bool:
    """Return whether the browser may have signed in and not kept the cookie, whatever the password was.

    A redirect keeps the `Referer` of the form. Over plain HTTP, Safari keeps no `Secure` cookie.
    """
    return session_cookie(request) is None and (page_before(request) == "/login" or request.url.scheme == "http")


@router.form("/login", Public(), max_body_size=16 * KIB)
async def login(page: CurrentPage, browsers: Browsers, signins: SignIns, client: RequestClient) -> Response:
    """Sign in. A session that the browser had before ends, and its id is never used again."""
    onward = await onward_from(page, str((await page.request.form()).get("next", "")))
    async with page.form(SignInForm, "login.html", cookie_lost=False, **onward) as typed:
        try:
            result = await signins.open_session(typed.email, typed.password, channel_of(browsers, client))
        except WrongCredentialsError:
            raise Unauthenticated("The e-mail address or the password is wrong.") from None
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


@router.page(_SECOND_STEP, Public())
async def factor_page(page: CurrentPage, browsers: Browsers, signins: SignIns, client: RequestClient) -> Response:
    """Ask for the code of a second factor."""
    query = page.request.query_params
    onward = await onward_from(page, query.get("next"))
    if not await signins.asks(page.request.cookies.get(_CHALLENGE, ""), channel_of(browsers, client)):
        return _begin_again(page, onward)
    return page.show("login_factor.html", recovery=query.get("kind") == RECOVERY, **onward)


def _begin_again(page: HtmlPage, onward: dict[str, Any]) -> Response:
    return page.go(with_query("/login", next=onward["next_path"], done=PagesNotice.SIGNIN_ENDED))


@router.form(_SECOND_STEP, Public(), max_body_size=16 * KIB)
async def factor(page: CurrentPage, browsers: Browsers, signins: SignIns, client: RequestClient) -> Response:
    """Complete the sign-in. A session that the browser had before ends, and its id is never used again."""
    sent, challenge = await page.request.form(), page.request.cookies.get(_CHALLENGE, "")
    onward, recovery = await onward_from(page, str(sent.get("next", ""))), sent.get("kind") == RECOVERY
    channel = channel_of(browsers, client)
    if not await signins.asks(challenge, channel):
        return _begin_again(page, onward)
    beside = {"code": Unauthenticated}
    async with page.form(FactorForm, "login_factor.html", beside, recovery=recovery, **onward) as typed:
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
async def confirm_page(page: CurrentPage, next: str | None = None) -> Response:  # noqa: A002  # the parameter's name
    """Ask for the password once more."""
    return page.show("confirm.html", **await onward_from(page, next))


@router.form("/confirm", Authenticated(enrols=True), max_body_size=16 * KIB)
async def confirm(
    page: CurrentPage, browsers: Browsers, confirmation: Confirmation, signins: SignIns, client: RequestClient
) -> Response:
    """Record that it is still the same person, and give the browser a new id (ASVS 7.2.4, 7.5.3)."""
    onward = await onward_from(page, str((await page.request.form()).get("next", "")))
    async with page.form(ConfirmForm, "confirm.html", {"password": Forbidden}, **onward) as typed:
        await confirmation.require(page.principal, typed.password, BrowserEvent.PASSWORD_CONFIRMED)
    if MFA in page.principal.methods:
        # Who signed in with a second factor needs it once more, which opens another session.
        challenge = await signins.ask_again(page.principal.user_id, channel_of(browsers, client))
        return await go_on(page, browsers, onward, challenge)
    value = await browsers.confirm(page.principal)
    return set_session_cookie(page.go(onward["next_path"], headers=onward["headers"]), value)
