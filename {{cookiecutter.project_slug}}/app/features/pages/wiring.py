"""What the pages add to the service: `main.py` calls `install_pages` when everything else is wired."""

from pathlib import Path

from fastapi import FastAPI

from app.core.crypto.keys import KeyRing
from app.features.authorization.grant import AuthorizationCodeGrant
from app.features.authorization.service import AuthorizationService
from app.features.browser.authenticate import BrowserAuthenticator, CookieAuthenticator
from app.features.browser.service import BrowserSessions
from app.features.oauth.clients.own_clients import keep_own_client
from app.features.oauth.clients.registered import DOCS_CLIENT, GrantType
from app.features.pages.account.applications import router as account_applications_router
from app.features.pages.account.profile import router as account_router
from app.features.pages.account.sessions import router as account_sessions_router
from app.features.pages.admin.audit import router as admin_audit_router
from app.features.pages.admin.client import router as admin_client_router
from app.features.pages.admin.clients import router as admin_clients_router
from app.features.pages.admin.overview import router as admin_router
from app.features.pages.admin.system import router as admin_system_router
from app.features.pages.admin.user import router as admin_user_router
from app.features.pages.admin.user_sessions import router as admin_user_sessions_router
from app.features.pages.admin.users import router as admin_users_router
from app.features.pages.entry.authorize import router as authorize_router
from app.features.pages.entry.mailed import router as mailed_router
from app.features.pages.entry.signin import router as signin_router
from app.features.pages.kit.assets import Assets, router as assets_router
from app.features.pages.kit.forms import FormRefused
from app.features.pages.kit.navigation import Navigation
from app.features.pages.kit.page import Pages
from app.features.pages.kit.problems import on_form_refused, present
from app.features.pages.public.api_docs import DOCS_REDIRECT, api_docs_router
from app.features.pages.public.home import router as home_router
from app.features.vault_pages.routes import router as account_vault_router

ROUTERS = (
    home_router,
    signin_router,
    mailed_router,
    authorize_router,
    account_router,
    account_sessions_router,
    account_applications_router,
    account_vault_router,
    admin_router,
    admin_users_router,
    admin_user_router,
    admin_user_sessions_router,
    admin_clients_router,
    admin_client_router,
    admin_audit_router,
    admin_system_router,
    assets_router,
)
MAILS = Path(__file__).with_name("mails")


def install_pages(app: FastAPI, keys: KeyRing) -> None:
    """Let browsers sign in, and show them pages."""
    state = app.state
    state.assets = Assets()
    state.navigation = Navigation(app)
    state.pages = Pages(state.settings, state.assets)
    _install_authorization(app)
    state.browsers = BrowserSessions(state.database, state.sessions, state.accounts, keys)
    state.authenticate_cookie = CookieAuthenticator(state.browsers)
    state.authenticate = BrowserAuthenticator(state.authenticate_cookie, state.authenticate)
    state.present = present
    state.account_mail.prefer(MAILS)
    app.add_exception_handler(FormRefused, on_form_refused)
    for router in (*ROUTERS, api_docs_router(production=state.settings.production)):
        # As they are: nothing of the application is to be added to them, and to make each anew takes time.
        app.router.routes.extend(router.routes)


async def open_pages(app: FastAPI) -> None:
    """Have in the database what the pages need, before the first request: `/docs` is a client of the service."""
    state = app.state
    address = f"{state.settings.public_url}{DOCS_REDIRECT}"
    await keep_own_client(
        state.database, state.clients, DOCS_CLIENT, name="The description of the API", redirect_uri=address
    )


def _install_authorization(app: FastAPI) -> None:
    """Let users decide about OAuth clients, which get codes for it."""
    state = app.state
    database, accounts, sessions, clients = state.database, state.accounts, state.sessions, state.clients
    state.authorization = AuthorizationService(
        database, state.settings, accounts, sessions, clients, state.account_mail
    )
    code_grant = AuthorizationCodeGrant(database, accounts, sessions, clients, state.signin)
    state.grants[GrantType.AUTHORIZATION_CODE] = code_grant
    state.account_tokens.also_revoke(state.authorization.end_codes)
    state.recovery.also_end(state.authorization)
