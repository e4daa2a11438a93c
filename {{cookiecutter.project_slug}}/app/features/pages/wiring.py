"""What the pages add to the service: `main.py` calls `install_pages` when everything else is wired."""

from fastapi import FastAPI

from app.core.keys import KeyRing
from app.features.browser.authenticate import BrowserAuthenticator
from app.features.browser.service import BrowserSessions
from app.features.pages.api_docs import api_docs_router
from app.features.pages.assets import Assets, router as assets_router
from app.features.pages.forms import FormRefused
from app.features.pages.home import router as home_router
from app.features.pages.page import Pages
from app.features.pages.present import on_form_refused, present
from app.features.pages.signin import router as signin_router
from app.http.stack import origin_rule

ROUTERS = (home_router, signin_router, assets_router)


def install_pages(app: FastAPI, keys: KeyRing) -> None:
    """Let browsers sign in, and show them pages."""
    state = app.state
    state.assets = Assets()
    state.pages = Pages(state.settings, state.assets)
    state.origin_rule = origin_rule(state.settings)
    state.browsers = BrowserSessions(state.database, state.sessions, state.accounts, keys)
    state.authenticate = BrowserAuthenticator(state.browsers, state.authenticate)
    state.present = present
    app.add_exception_handler(FormRefused, on_form_refused)
    for router in (*ROUTERS, api_docs_router(production=state.settings.production)):
        app.include_router(router)
