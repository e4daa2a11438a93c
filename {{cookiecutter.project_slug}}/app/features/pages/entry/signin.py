"""Signing in and out with a browser, and confirming the password."""

from typing import Annotated, Any

from fastapi import Request
from pydantic import Field
from starlette.responses import Response

from app.access.policies import Authenticated, Public
from app.core.errors import Forbidden, Unauthenticated
from app.core.services import provided
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.hasher import GivenPassword
from app.features.browser.cookie import clear_session_cookie, session_cookie, set_session_cookie
from app.features.browser.events import BrowserEvent
from app.features.pages.entry.authorize import headers_for
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.page import Browsers, CurrentPage, PageRouter
from app.features.pages.kit.urls import HOME, page_before, safe_next_path
from app.features.sessions.client import RequestClient
from app.features.signin.errors import WrongCredentialsError
from app.features.signin.password import PasswordSignIn
from app.http.request.body_limit import KIB

router = PageRouter(__name__)

SignIns = Annotated[PasswordSignIn, provided(PasswordSignIn)]
Confirmation = Annotated[PasswordConfirmation, provided(PasswordConfirmation)]


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


async def _onward(page: CurrentPage, path: str | None) -> dict[str, Any]:
    """Return the page to go on to, and the headers of a page whose form leads there."""
    path = safe_next_path(path) or HOME
    return {"next_path": path, "headers": await headers_for(page.request, path)}


@router.page("/login", Public())
async def login_page(page: CurrentPage, next: str | None = None) -> Response:  # noqa: A002  # the parameter's name
    """Ask for address and password; a signed-in user goes on at once."""
    if page.signed_in:
        return page.go(safe_next_path(next) or HOME)
    lost = next is not None and _may_have_lost_its_cookie(page.request)
    return page.show("login.html", cookie_lost=lost, **await _onward(page, next))


def _may_have_lost_its_cookie(request: Request) -> bool:
    """Return whether the browser may have signed in and not kept the cookie, whatever the password was.

    A redirect keeps the `Referer` of the form. Over plain HTTP, Safari keeps no `Secure` cookie.
    """
    return session_cookie(request) is None and (page_before(request) == "/login" or request.url.scheme == "http")


@router.form("/login", Public(), max_body_size=16 * KIB)
async def login(page: CurrentPage, browsers: Browsers, signins: SignIns, client: RequestClient) -> Response:
    """Sign in. A session that the browser had before ends, and its id is never used again."""
    onward = await _onward(page, str((await page.request.form()).get("next", "")))
    async with page.form(SignInForm, "login.html", cookie_lost=False, **onward) as typed:
        try:
            _, value = await signins.open_session(typed.email, typed.password, client, browsers.attach)
        except WrongCredentialsError:
            raise Unauthenticated("The e-mail address or the password is wrong.") from None
    if page.signed_in:
        await browsers.end(page.signed_in.principal)
    response = page.go(onward["next_path"], headers=onward["headers"])
    set_session_cookie(response, value)
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


@router.page("/confirm", Authenticated())
async def confirm_page(page: CurrentPage, next: str | None = None) -> Response:  # noqa: A002  # the parameter's name
    """Ask for the password once more."""
    return page.show("confirm.html", **await _onward(page, next))


@router.form("/confirm", Authenticated(), max_body_size=16 * KIB)
async def confirm(page: CurrentPage, browsers: Browsers, confirmation: Confirmation) -> Response:
    """Record that it is still the same person, and give the browser a new id (ASVS 7.2.4, 7.5.3)."""
    onward = await _onward(page, str((await page.request.form()).get("next", "")))
    async with page.form(ConfirmForm, "confirm.html", {"password": Forbidden}, **onward) as typed:
        await confirmation.require(page.principal, typed.password, BrowserEvent.PASSWORD_CONFIRMED)
    value = await browsers.confirm(page.principal)
    response = page.go(onward["next_path"], headers=onward["headers"])
    set_session_cookie(response, value)
    return response
