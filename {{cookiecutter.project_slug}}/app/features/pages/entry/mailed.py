"""Pages for what goes by mail: registering, a forgotten password, a new address.

A mailed link carries its token in the fragment, which browsers send to nobody: it is in no log, no `Referer` and no
history of a proxy (ASVS 14.2.1). `static/token.js` puts it into the form; a click sends it. Opening the link changes
nothing, so that a mail program which looks at links uses none up (ASVS 3.5.3).
"""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AfterValidator, Field, SecretStr
from starlette.responses import Response

from app.access.policies import Public, policy
from app.core.errors import BadRequest, Forbidden
from app.core.schemas import DisplayName
from app.core.services import services_of
from app.core.settings.model import Registration, Settings
from app.features.accounts.email_address import EmailText
from app.features.accounts.mailed.recovery import RecoveryService
from app.features.accounts.mailed.registration import RegistrationService
from app.features.accounts.own_account import OwnAccountService
from app.features.accounts.passwords.hasher import GivenPassword, NewPassword
from app.features.browser.cookie import clear_session_cookie
from app.features.pages.kit.forms import FormBody, read_form
from app.features.pages.kit.page import CurrentPage, content_security_policy, signed_in_user
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.urls import HOME
from app.features.sessions.client import RequestClient

router = APIRouter(route_class=PageRoute)

_ACCEPTED = 202
# For the browser that registered, until the token of the mail has expired.
_REGISTERED = "__Host-registered"
_HOUR = 3600
_WITH_TOKEN_SCRIPT = content_security_policy(scripts=True)


def _code(text: str) -> str:
    """The token in what was typed: itself, or the whole link."""
    return text.strip().rpartition("#")[2]


# No password, and shown again: it has left the address bar, and who has to choose another password needs it once more.
Code = Annotated[str, Field(max_length=1000), AfterValidator(_code)]
"""A token from a mail."""


class RegistrationForm(FormBody):
    """A registration."""

    email: EmailText
    display_name: DisplayName | None = None
    password: NewPassword


class ForgottenForm(FormBody):
    """The address of an account whose password nobody remembers."""

    email: EmailText


class CodeForm(FormBody):
    """A token, back from the mail that it came in."""

    token: Code


class VerifyForm(CodeForm):
    """A token, and the password that was registered, where another browser did that."""

    password: GivenPassword | None = None


class ResetForm(CodeForm):
    """A password for the account of the token."""

    new_password: NewPassword
    keep_applications: bool = False


@router.get("/register")
@policy(Public())
async def register_page(request: Request, page: CurrentPage) -> Response:
    """Ask for an address and a password."""
    _require_open(request)
    return page.go(HOME) if page.signed_in else page.show("register.html")


@router.post("/register")
@policy(Public())
async def register(request: Request, page: CurrentPage, client: RequestClient) -> Response:
    """Register. Whatever the address, the page is the same, and the rest comes by mail (ASVS 6.3.8)."""
    _require_open(request)
    form, typed = await read_form(request, RegistrationForm, "register.html")
    registrations = services_of(request.app)[RegistrationService]
    with form.handle_errors():
        proof = await registrations.register(typed.email, typed.password, typed.display_name, ip=client.ip)
    response = page.show("mailed.html", status=_ACCEPTED, email=typed.email, purpose="register")
    response.set_cookie(_REGISTERED, proof, max_age=_HOUR, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.get("/verify")
@policy(Public())
async def verify_page(request: Request, page: CurrentPage) -> Response:
    """Ask for the token of the mail."""
    return page.show("verify.html", policy=_WITH_TOKEN_SCRIPT, registered_here=_REGISTERED in request.cookies)


@router.post("/verify")
@policy(Public())
async def verify(request: Request, page: CurrentPage) -> Response:
    """Confirm an address, which opens its account. A click alone keeps no password that another browser registered."""
    form, typed = await read_form(request, VerifyForm, "verify.html", policy=_WITH_TOKEN_SCRIPT, registered_here=False)
    registrations = services_of(request.app)[RegistrationService]
    with form.handle_errors(token=BadRequest, password=Forbidden):
        proof = request.cookies.get(_REGISTERED)
        kept = await registrations.confirm(SecretStr(typed.token), typed.password, proof)
    return page.show("done.html", purpose="verify" if kept else "choose")


@router.get("/forgot")
@policy(Public())
async def forgot_page(page: CurrentPage) -> Response:
    """Ask for the address of the account."""
    return page.show("forgot.html")


@router.post("/forgot")
@policy(Public())
async def forgot(request: Request, page: CurrentPage, client: RequestClient) -> Response:
    """Mail a token. Whatever the address, the page is the same, and the rest comes by mail (ASVS 6.3.8)."""
    form, typed = await read_form(request, ForgottenForm, "forgot.html")
    recoveries = services_of(request.app)[RecoveryService]
    with form.handle_errors():
        await recoveries.forgot(typed.email, ip=client.ip)
    return page.show("mailed.html", status=_ACCEPTED, email=typed.email, purpose="forgot")


@router.get("/reset")
@policy(Public())
async def reset_page(page: CurrentPage) -> Response:
    """Ask for the token of the mail, and for a password."""
    return page.show("reset.html", policy=_WITH_TOKEN_SCRIPT)


@router.post("/reset")
@policy(Public())
async def reset(request: Request, page: CurrentPage, client: RequestClient) -> Response:
    """Set the password of the token's account; every session of it ends, this browser's too if it is one of them."""
    form, typed = await read_form(request, ResetForm, "reset.html", policy=_WITH_TOKEN_SCRIPT)
    recoveries = services_of(request.app)[RecoveryService]
    with form.handle_errors(token=BadRequest):
        keep = typed.keep_applications
        await recoveries.reset(SecretStr(typed.token), typed.new_password, client, keep_applications=keep)
    before, page.signed_in = page.signed_in, await signed_in_user(request)
    response = page.show("done.html", purpose="reset")
    if before and page.signed_in is None:
        clear_session_cookie(response)
    return response


@router.get("/account/email/confirm")
@policy(Public())
async def confirm_email_page(page: CurrentPage) -> Response:
    """Ask for the token of the mail."""
    return page.show("email_confirm.html", policy=_WITH_TOKEN_SCRIPT)


@router.post("/account/email/confirm")
@policy(Public())
async def confirm_email(request: Request, page: CurrentPage) -> Response:
    """Give an account its new address."""
    form, typed = await read_form(request, CodeForm, "email_confirm.html", policy=_WITH_TOKEN_SCRIPT)
    own = services_of(request.app)[OwnAccountService]
    with form.handle_errors(token=BadRequest):
        await own.confirm_email_change(SecretStr(typed.token))
    return page.show("done.html", purpose="email")


def _require_open(request: Request) -> None:
    """Raise `Forbidden` for everybody where `REGISTRATION` is closed."""
    if services_of(request.app)[Settings].registration is Registration.CLOSED:
        raise Forbidden("Nobody can register here. An administrator invites.")
