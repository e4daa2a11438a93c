"""My account: what it says about me, and what I can change."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, OwnSession, Recent, policy
from app.access.principal import CurrentPrincipal
from app.core.errors import Forbidden
from app.core.schemas import DisplayName
from app.features.accounts.email_address import EmailText
from app.features.accounts.mailed.alerts import Alert
from app.features.accounts.passwords.hasher import SHORTEST_PASSWORD, GivenPassword, NewPassword
from app.features.accounts.routes import Accounts, OwnAccount
from app.features.browser.cookie import clear_session_cookie, set_session_cookie
from app.features.pages.kit.forms import FormBody, read_form
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.services import Browsers
from app.features.sessions.client import RequestClient
from app.features.sessions.permissions import AccountPermission

router = APIRouter(prefix="/account", route_class=PageRoute)


class ProfileForm(FormBody):
    """What I am called; empty for nothing."""

    display_name: DisplayName | None = None


class AlertsForm(FormBody):
    """What I want to be told by mail: one field for each."""

    new_device: bool = False
    roles_changed: bool = False
    new_application: bool = False
    account_disabled: bool = False


class PasswordForm(FormBody):
    """The password that I have, and the one that I want."""

    current_password: GivenPassword
    new_password: NewPassword


class EmailForm(FormBody):
    """Another address, with my password."""

    new_email: EmailText
    current_password: GivenPassword


class DeletionForm(FormBody):
    """The end of my account, with my password."""

    current_password: GivenPassword


@router.get("")
@policy(Allow(AccountPermission.ACCOUNT_READ))
async def account_page(page: CurrentPage) -> Response:
    """Show what the account says about me."""
    return page.show("account.html", values={"display_name": page.account.display_name or ""})


@router.post("/profile")
@policy(Allow(AccountPermission.ACCOUNT_WRITE))
async def change_profile(
    request: Request, page: CurrentPage, accounts: Accounts, principal: CurrentPrincipal
) -> Response:
    """Change what I am called."""
    _, typed = await read_form(request, ProfileForm, "account.html")
    await accounts.change_profile(principal, {"display_name": typed.display_name})
    return page.go("/account", PagesNotice.PROFILE)


@router.post("/alerts")
@policy(OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def change_alerts(
    request: Request, page: CurrentPage, accounts: Accounts, principal: CurrentPrincipal
) -> Response:
    """Change what I am told by mail."""
    _, typed = await read_form(request, AlertsForm, "account.html")
    wanted = typed.model_dump()
    await accounts.change_profile(principal, {"muted_alerts": [alert for alert in Alert if not wanted[alert]]})
    return page.go("/account", PagesNotice.ALERTS)


@router.get("/password")
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def password_page(page: CurrentPage) -> Response:
    """Ask for the old password and a new one."""
    return page.show("account_password.html", shortest=SHORTEST_PASSWORD)


@router.post("/password")
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def change_password(  # noqa: PLR0913, PLR0917  # one for each thing that a change of password touches
    request: Request,
    page: CurrentPage,
    own: OwnAccount,
    browsers: Browsers,
    principal: CurrentPrincipal,
    client: RequestClient,
) -> Response:
    """Change my password. Every other session ends, and so does a copy of this one's cookie: it gets a new id."""
    form, typed = await read_form(request, PasswordForm, "account_password.html", shortest=SHORTEST_PASSWORD)
    with form.handle_errors(current_password=Forbidden):
        await own.change_password(principal, typed.current_password, typed.new_password, ip=client.ip)
    value = await browsers.confirm(principal)
    response = page.go("/account", PagesNotice.PASSWORD)
    if value is not None:
        set_session_cookie(response, value)
    return response


@router.get("/email")
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def email_page(page: CurrentPage) -> Response:
    """Ask for another address."""
    return page.show("account_email.html")


@router.post("/email")
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def change_email(
    request: Request, page: CurrentPage, own: OwnAccount, principal: CurrentPrincipal, client: RequestClient
) -> Response:
    """Ask for another e-mail address; it counts when the token that is mailed there comes back."""
    form, typed = await read_form(request, EmailForm, "account_email.html")
    with form.handle_errors(current_password=Forbidden):
        await own.request_email_change(principal, typed.new_email, typed.current_password, ip=client.ip)
    return page.go("/account", PagesNotice.EMAIL)


@router.get("/delete")
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def deletion_page(page: CurrentPage) -> Response:
    """Say what would go, and ask for the password."""
    return page.show("account_delete.html")


@router.post("/delete")
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def delete_account(request: Request, page: CurrentPage, own: OwnAccount, principal: CurrentPrincipal) -> Response:
    """Delete my account with all that belongs to it, and sign this browser out."""
    form, typed = await read_form(request, DeletionForm, "account_delete.html")
    with form.handle_errors(current_password=Forbidden):
        await own.delete(principal, typed.current_password)
    response = page.go("/", PagesNotice.ACCOUNT_DELETED)
    clear_session_cookie(response)
    return response
