"""Signing in and out with a browser, and proving once more who one is."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from app.access.policies import Authenticated, Public, policy
from app.access.principal import CurrentPrincipal
from app.core.errors import Forbidden, Unauthenticated
from app.core.services import services_of
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.hasher import GivenPassword
from app.features.browser.cookie import clear_session_cookie, session_cookie, set_session_cookie
from app.features.browser.events import BrowserEvent
from app.features.pages.entry.csp import headers_for
from app.features.pages.kit.forms import FormBody, read_form
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.services import Browsers
from app.features.pages.kit.urls import HOME, page_before, safe_next_path
from app.features.sessions.client import RequestClient
from app.features.sessions.service import NewSession
from app.features.signin.errors import WrongCredentialsError
from app.features.signin.password import PasswordSignIn
from app.http.request.body_limit import KIB

router = APIRouter(route_class=PageRoute)

_WRONG = "The e-mail address or the password is wrong."


class SignInForm(FormBody):
    """Address and password, and the page to go on to."""

    # As long as an address may be typed: whether it is one is not told here.
    email: Annotated[str, Field(max_length=320)]
    password: GivenPassword
    next: str = HOME


class ConfirmForm(FormBody):
    """My password, once more, and the page to go on to."""

    password: GivenPassword
    next: str = HOME


@router.get("/login")
@policy(Public())
async def login_page(request: Request, page: CurrentPage, next: str | None = None) -> Response:  # noqa: A002  # the parameter's name
    """Ask for address and password; whoever is signed in already goes on."""
    path = safe_next_path(next) or HOME
    if page.signed_in:
        return page.go(path)
    lost = next is not None and _may_have_lost_its_cookie(request)
    return page.show("login.html", next_path=path, cookie_lost=lost, headers=await headers_for(request, path))


def _may_have_lost_its_cookie(request: Request) -> bool:
    """Whether a browser that was led here to sign in may have done so, and has kept no cookie of it.

    It brings none, and comes from the form to sign in: a redirect keeps the `Referer` of the form. Over plain HTTP it
    is enough that it brings none: Safari keeps no `Secure` cookie there. Nothing is asked of the database, so that the
    answer tells nobody whether a password was right.
    """
    return session_cookie(request) is None and (page_before(request) == "/login" or request.url.scheme == "http")


@router.post("/login", max_body_size=16 * KIB)
@policy(Public())
async def login(request: Request, page: CurrentPage, browsers: Browsers, client: RequestClient) -> Response:
    """Sign in. A session that the browser had before ends, and its id is never used again."""
    path = safe_next_path(str((await request.form()).get("next", ""))) or HOME
    headers = await headers_for(request, path)
    form, typed = await read_form(request, SignInForm, "login.html", next_path=path, cookie_lost=False, headers=headers)
    signins = services_of(request.app)[PasswordSignIn]

    def key(connection: Connection, session: NewSession) -> str:
        return browsers.attach(connection, session, "pwd")

    with form.handle_errors():
        try:
            _, value = await signins.open_session(typed.email, typed.password, client, key)
        except WrongCredentialsError:
            raise Unauthenticated(_WRONG) from None
    if page.signed_in:
        await browsers.end(page.signed_in.principal)
    response = page.go(path, headers=headers)
    set_session_cookie(response, value)
    return response


@router.get("/logout")
@policy(Public())
async def logout_page(page: CurrentPage) -> Response:
    """Ask whether to sign out: a link alone changes nothing."""
    return page.show("logout.html") if page.signed_in else page.go("/login")


@router.post("/logout")
@policy(Public())
async def logout(page: CurrentPage, browsers: Browsers) -> Response:
    """Sign out: the session is over, whoever has a copy of the cookie (ASVS 7.4.1)."""
    if page.signed_in:
        await browsers.end(page.signed_in.principal)
    response = page.go("/login")
    clear_session_cookie(response)
    return response


@router.get("/confirm")
@policy(Authenticated())
async def confirm_page(request: Request, page: CurrentPage, next: str | None = None) -> Response:  # noqa: A002  # the parameter's name
    """Ask for the password once more."""
    path = safe_next_path(next) or HOME
    return page.show("confirm.html", next_path=path, headers=await headers_for(request, path))


@router.post("/confirm", max_body_size=16 * KIB)
@policy(Authenticated())
async def confirm(request: Request, page: CurrentPage, browsers: Browsers, principal: CurrentPrincipal) -> Response:
    """Note that it is still the same person, and give the browser a new id (ASVS 7.2.4, 7.5.3)."""
    path = safe_next_path(str((await request.form()).get("next", ""))) or HOME
    headers = await headers_for(request, path)
    form, typed = await read_form(request, ConfirmForm, "confirm.html", next_path=path, headers=headers)
    confirmation = services_of(request.app)[PasswordConfirmation]
    with form.handle_errors(password=Forbidden):
        await confirmation.require(principal, typed.password, BrowserEvent.PASSWORD_CONFIRMED)
    value = await browsers.confirm(principal)
    response = page.go(path, headers=headers)
    if value is not None:
        set_session_cookie(response, value)
    return response
