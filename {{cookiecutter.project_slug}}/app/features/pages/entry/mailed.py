"""Pages for what goes by mail: registering, a forgotten password, a new address.

Mailed tokens are in the URL fragment: they reach no server, log or `Referer` (ASVS 14.2.1). `static/token.js` puts them
into the form, and a click sends it: a mail program that follows links consumes no token (ASVS 3.5.3).
"""

from typing import Annotated

from fastapi import Depends
from pydantic import AfterValidator, Field, SecretStr
from starlette.responses import Response

from app.access.policies import Public
from app.core.errors import BadRequest, Forbidden
from app.features.accounts.passwords.hasher import GivenPassword, NewPassword
from app.features.accounts.routes import Mailboxes, OwnAccount, require_open
from app.features.accounts.schemas import AccountCreate, ForgottenPassword
from app.features.browser.cookie import clear_session_cookie
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.page import CurrentPage, PageRouter, signed_in_user
from app.features.pages.kit.urls import HOME
from app.features.sessions.devices import RequestClient

router = PageRouter(__name__)

_ACCEPTED = 202
# For the browser that registered, until the token of the mail has expired.
_REGISTERED = "__Host-registered"

# No password, and shown again: it has left the address bar, and choosing another password needs it once more.
Code = Annotated[str, Field(max_length=1000), AfterValidator(lambda text: text.strip().rpartition("#")[2])]
"""A token from a mail: what was typed, or the end of the whole link."""


class CodeForm(FormBody):
    """A token, back from the mail that it came in."""

    token: Code


class VerifyForm(CodeForm):
    """A token, and the password that was registered, if another browser registered it."""

    password: GivenPassword | None = None


class ResetForm(CodeForm):
    """A password for the account of the token."""

    new_password: NewPassword


@router.page("/register", Public(), dependencies=[Depends(require_open)])
async def register_page(page: CurrentPage) -> Response:
    """Ask for an address and a password."""
    return page.go(HOME) if page.signed_in else page.show("register.html")


@router.form("/register", Public(), dependencies=[Depends(require_open)])
async def register(page: CurrentPage, mailboxes: Mailboxes, client: RequestClient) -> Response:
    """Register. The answer is the same for every address; the rest comes by mail (ASVS 6.3.8)."""
    async with page.form(AccountCreate, "register.html") as typed:
        proof = await mailboxes.register(typed.email, typed.password, typed.display_name, ip=client.ip)
    response = page.show("mailed.html", status=_ACCEPTED, email=typed.email, purpose="register")
    response.set_cookie(_REGISTERED, proof, max_age=3600, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.page("/verify", Public())
async def verify_page(page: CurrentPage) -> Response:
    """Ask for the token of the mail."""
    return page.show("verify.html", registered_here=_REGISTERED in page.request.cookies)


@router.form("/verify", Public())
async def verify(page: CurrentPage, mailboxes: Mailboxes) -> Response:
    """Confirm an address, which opens its account. A click alone keeps no password that another browser registered."""
    beside = {"token": BadRequest, "password": Forbidden}
    async with page.form(VerifyForm, "verify.html", beside, registered_here=False) as typed:
        kept = await mailboxes.confirm(SecretStr(typed.token), typed.password, page.request.cookies.get(_REGISTERED))
    return page.show("done.html", purpose="verify" if kept else "choose")


@router.form("/forgot", Public(), page="forgot.html")
async def forgot(page: CurrentPage, mailboxes: Mailboxes, client: RequestClient) -> Response:
    """Mail a token. The answer is the same for every address; the rest comes by mail (ASVS 6.3.8)."""
    async with page.form(ForgottenPassword, "forgot.html") as typed:
        await mailboxes.forgot(typed.email, ip=client.ip)
    return page.show("mailed.html", status=_ACCEPTED, email=typed.email, purpose="forgot")


router.show("/reset", Public(), "reset.html")


@router.form("/reset", Public())
async def reset(page: CurrentPage, mailboxes: Mailboxes, client: RequestClient) -> Response:
    """Set the password of the token's account; every session of it ends, this browser's too if it is one of them."""
    async with page.form(ResetForm, "reset.html", {"token": BadRequest}) as typed:
        await mailboxes.reset(SecretStr(typed.token), typed.new_password, client)
    before, page.signed_in = page.signed_in, await signed_in_user(page.request)
    response = page.show("done.html", purpose="reset")
    if before and page.signed_in is None:
        clear_session_cookie(response)
    return response


router.show("/account/email/confirm", Public(), "email_confirm.html")


@router.form("/account/email/confirm", Public())
async def confirm_email(page: CurrentPage, own: OwnAccount) -> Response:
    """Give an account its new address."""
    async with page.form(CodeForm, "email_confirm.html", {"token": BadRequest}) as typed:
        await own.confirm_email_change(SecretStr(typed.token))
    return page.show("done.html", purpose="email")
