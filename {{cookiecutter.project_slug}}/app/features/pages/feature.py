"""The pages, as a feature."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.access.roles import RoleTable
from app.core.database.database import Database
from app.core.errors import Problem
from app.core.services import Services, services_of
from app.core.settings.model import Settings
from app.feature import Feature
from app.features.accounts.administration import AccountAdministration
from app.features.accounts.authority import Authority
from app.features.accounts.mailed.mails import AccountMail
from app.features.oauth.clients.own_clients import keep_own_client
from app.features.oauth.clients.registered import DOCS_CLIENT
from app.features.oauth.clients.service import ClientService
from app.features.pages.account import applications, profile, sessions
from app.features.pages.admin import audit, client, clients, overview, system, user, user_sessions, users
from app.features.pages.admin.ending import SessionAdministration
from app.features.pages.entry import authorize, mailed, signin
from app.features.pages.events import PagesEvent
from app.features.pages.kit import assets
from app.features.pages.kit.assets import Assets
from app.features.pages.kit.forms import FormRefused
from app.features.pages.kit.navigation import Navigation
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import Pages
from app.features.pages.kit.problems import Handler, on_form_refused, present, with_signed_in_user
from app.features.pages.kit.site import Site
from app.features.pages.public import api_docs, home
from app.features.sessions.service import SessionService

FOLDER = Path(__file__).parent
ROOMS = ("kit", "public", "entry", "account", "admin")


def provide(services: Services) -> None:
    """Provide the pages, to which later features add theirs, and let mails lead to them."""
    site = services.add(Site())
    for room in ROOMS:
        site.add(templates=FOLDER / room / "templates")
    site.add(notices=PagesNotice)
    services.add(Pages(services[Settings], services.add(Assets()), site))
    accounts, sessions = services[AccountAdministration], services[SessionService]
    services.add(SessionAdministration(services[Database], services[Authority], accounts, sessions))
    services[AccountMail].prefer(FOLDER / "mails")


def install(app: FastAPI) -> None:
    """Show problems to browsers as pages, and links to what may be opened."""
    services_of(app).add(Navigation(app))
    app.state.present = present
    for kind in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, with_signed_in_user(cast("Handler", app.exception_handlers[kind])))
    app.add_exception_handler(FormRefused, on_form_refused)


@asynccontextmanager
async def run(services: Services) -> AsyncIterator[None]:
    """Have `/docs` in the database as a client of the service, before the first request."""
    await keep_own_client(
        services[Database],
        services[ClientService],
        DOCS_CLIENT,
        name="The description of the API",
        redirect_uri=f"{services[Settings].public_url}{api_docs.DOCS_REDIRECT}",
        scope=frozenset(services[RoleTable].permissions),
    )
    yield


PAGES = Feature(
    name="pages",
    uses=("accounts", "audit", "authorization", "browser", "oauth", "sessions", "signin", "system"),
    provide=provide,
    install=install,
    run=run,
    root=(
        home.router,
        signin.router,
        mailed.router,
        authorize.router,
        profile.router,
        sessions.router,
        applications.router,
        overview.router,
        users.router,
        user.router,
        user_sessions.router,
        clients.router,
        client.router,
        audit.router,
        system.router,
        assets.router,
        api_docs.api_docs_router,
    ),
    events=(PagesEvent,),
)
