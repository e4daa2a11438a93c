"""My account: what it says about me, what I can change, where I am signed in, and which applications act for me."""

from uuid import UUID

from pydantic import create_model
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, OwnSession, Recent
from app.core.errors import Forbidden
from app.core.pagination import CursorText, PageParams
from app.features.accounts.events import Alert
from app.features.accounts.routes import Exports, OwnAccount, Roles, exported
from app.features.accounts.schemas import AccountDeletion, EmailChange, OwnProfileUpdate, PasswordChange, ProfileUpdate
from app.features.browser.cookie import clear_session_cookie
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.page import Authorization, CurrentPage, PageRouter
from app.features.pages.kit.site import PagesNotice
from app.features.sessions.devices import RequestClient
from app.features.sessions.permissions import AccountPermission
from app.features.sessions.routes import Sessions

router = PageRouter(__name__, "/account")

_READS = Allow(AccountPermission.ACCOUNT_READ)
_RECENT = Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE)
_OWN = OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE)
_BESIDE = {"current_password": Forbidden}


AlertsForm: type[FormBody] = create_model(  # type: ignore[call-overload]  # the fields are made of the alerts
    "AlertsForm", __base__=FormBody, __doc__="The alerts that I want by mail.", **dict.fromkeys(Alert, (bool, False))
)


router.show("", _READS, "account.html")


@router.form("/profile", Allow(AccountPermission.ACCOUNT_WRITE))
async def change_profile(page: CurrentPage, own: OwnAccount) -> Response:
    """Change what I am called."""
    async with page.form(ProfileUpdate, "account.html") as typed:
        await own.change_profile(page.principal, OwnProfileUpdate(display_name=typed.display_name))
    return page.go("/account", PagesNotice.PROFILE)


@router.form("/alerts", _OWN)
async def change_alerts(page: CurrentPage, own: OwnAccount) -> Response:
    """Change which alerts I get by mail."""
    async with page.form(AlertsForm, "account.html") as typed:
        muted = [alert for alert in Alert if not getattr(typed, alert)]
        await own.change_profile(page.principal, OwnProfileUpdate(muted_alerts=muted))
    return page.go("/account", PagesNotice.ALERTS)


@router.form("/password", _RECENT, page="account_password.html")
async def change_password(page: CurrentPage, own: OwnAccount, client: RequestClient) -> Response:
    """Change my password. Every other session ends, and so does a copy of this one's cookie: it gets a new id."""
    async with page.form(PasswordChange, "account_password.html", _BESIDE) as typed:
        passwords = typed.current_password, typed.new_password
        set_cookie = await own.change_password(page.principal, *passwords, ip=client.ip)
    return set_cookie(page.go("/account", PagesNotice.PASSWORD))


@router.form("/email", _RECENT, page="account_email.html")
async def change_email(page: CurrentPage, own: OwnAccount, client: RequestClient) -> Response:
    """Ask for another e-mail address; it counts when the token that is mailed there comes back."""
    async with page.form(EmailChange, "account_email.html", _BESIDE) as typed:
        await own.request_email_change(page.principal, typed.new_email, typed.current_password, ip=client.ip)
    return page.go("/account", PagesNotice.EMAIL)


@router.form("/data", OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_READ), page="account_data.html")
async def export_data(page: CurrentPage, export: Exports) -> Response:
    """Send all that is kept about me as a file."""
    return exported(export, page.principal)


@router.form("/delete", _RECENT, page="account_delete.html")
async def delete_account(page: CurrentPage, own: OwnAccount) -> Response:
    """Delete my account with all that belongs to it, and sign this browser out."""
    async with page.form(AccountDeletion, "account_delete.html", _BESIDE) as typed:
        await own.delete(page.principal, typed.current_password)
    response = page.go("/", PagesNotice.ACCOUNT_DELETED)
    clear_session_cookie(response)
    return response


@router.page("/sessions", _READS)
async def sessions_page(page: CurrentPage, sessions: Sessions, cursor: CursorText = None) -> Response:
    """List my sessions that are alive, newest first (ASVS 7.5.2)."""
    rows, cursor = await sessions.list_alive(page.principal.user_id, PageParams(cursor=cursor))
    return page.show("account_sessions.html", sessions=rows, next_path=page.next_path(cursor))


@router.form("/sessions/end-others", _OWN)
async def end_others(page: CurrentPage, sessions: Sessions) -> Response:
    """End every session of mine but this one."""
    await sessions.end_others(page.principal)
    return page.go("/account/sessions", PagesNotice.SESSIONS_ENDED)


@router.form("/sessions/{session_id}/end", _OWN)
async def end_session(session_id: UUID, page: CurrentPage, sessions: Sessions) -> Response:
    """End one session of mine."""
    await sessions.end_own(page.principal, session_id)
    return page.go("/account/sessions", PagesNotice.SESSION_ENDED)


@router.page("/applications", _READS)
async def applications_page(page: CurrentPage, authorization: Authorization, roles: Roles) -> Response:
    """List the clients that I have allowed to act for me, newest first."""
    consents = await authorization.consents(page.principal.user_id)
    applications = [(consent, roles.describe(consent.scope.split())) for consent in consents]
    return page.show("account_applications.html", applications=applications)


@router.form("/applications/{consent_id}/revoke", _OWN)
async def revoke(consent_id: UUID, page: CurrentPage, authorization: Authorization) -> Response:
    """Take back what I have allowed an application: it is signed out at once (ASVS 10.7.3)."""
    await authorization.revoke_consent(page.principal, consent_id)
    return page.go("/account/applications", PagesNotice.APPLICATION_REVOKED)
