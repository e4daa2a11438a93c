"""What the pages add to the service: `main.py` calls `install_pages` when everything else is wired."""

from pathlib import Path

from fastapi import FastAPI

from app.core.keys import KeyRing
from app.features.authorization.grant import AuthorizationCodeGrant
from app.features.authorization.service import AuthorizationService
from app.features.browser.authenticate import BrowserAuthenticator
from app.features.browser.service import BrowserSessions
from app.features.oauth.clients import GrantType
from app.features.pages.assets import Assets, router as assets_router
from app.features.pages.authorize import router as authorize_router
from app.features.pages.forms import FormRefused
from app.features.pages.home import router as home_router
from app.features.pages.mailed import router as mailed_router
from app.features.pages.page import Pages
from app.features.pages.present import on_form_refused, present
from app.features.pages.signin import router as signin_router
from app.http.stack import origin_rule

ROUTERS = (home_router, signin_router, mailed_router, authorize_router, assets_router)
MAILS = Path(__file__).with_name("mails")


def install_pages(app: FastAPI, keys: KeyRing) -> None:
    """Let browsers sign in, and show them pages."""
    state = app.state
    state.assets = Assets()
    state.pages = Pages(state.settings, state.assets)
    state.origin_rule = origin_rule(state.settings)
    _install_authorization(app)
    state.browsers = BrowserSessions(state.database, state.sessions, state.accounts, keys)
    state.authenticate = BrowserAuthenticator(state.browsers, state.authenticate)
    state.present = present
    state.account_mail.prefer(MAILS)
    app.add_exception_handler(FormRefused, on_form_refused)
    for router in ROUTERS:
        app.include_router(router)


def _install_authorization(app: FastAPI) -> None:
    """Let users decide about OAuth clients, which get codes for it."""
    state = app.state
    database, accounts, sessions, clients = state.database, state.accounts, state.sessions, state.clients
    state.authorization = AuthorizationService(database, state.settings, accounts, sessions, clients)
    code_grant = AuthorizationCodeGrant(database, accounts, sessions, clients, state.signin)
    state.grants[GrantType.AUTHORIZATION_CODE] = code_grant
