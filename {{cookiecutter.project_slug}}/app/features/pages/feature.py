"""The pages, as a feature."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.access.roles import RoleTable
from app.core.errors import Problem
from app.core.services import Services, services_of
from app.core.settings.model import Settings
from app.feature import Feature
from app.features.oauth.clients.registered import DOCS_CLIENT
from app.features.oauth.clients.service import ClientService
from app.features.pages.account.factors import router as factors_router
from app.features.pages.account.routes import router as account_router
from app.features.pages.admin import audit, clients, overview, users
from app.features.pages.entry import authorize, mailed, signin
from app.features.pages.kit.forms import FormRefused
from app.features.pages.kit.problems import Handler, on_form_refused, present, with_signed_in_user
from app.features.pages.kit.site import Assets, Navigation, PagesNotice, Site
from app.features.pages.public.routes import DOCS_REDIRECT, public_router

FOLDER = Path(__file__).parent


def provide(services: Services) -> None:
    """Provide the pages, to which later features add theirs."""
    site = services.add(Site(services[Settings], services.add(Assets())))
    for room in ("kit", "public", "entry", "account", "admin"):
        site.add(templates=FOLDER / room / "templates", notices=PagesNotice)


def install(app: FastAPI) -> None:
    """Show problems to browsers as pages, and links to the pages that they may open."""
    services_of(app).add(Navigation(app))
    app.state.present = present
    for kind in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, with_signed_in_user(cast("Handler", app.exception_handlers[kind])))
    app.add_exception_handler(FormRefused, on_form_refused)


@asynccontextmanager
async def run(services: Services) -> AsyncIterator[None]:
    """Register `/docs` as a client of the service before the first request."""
    redirect_uri, scope = f"{services[Settings].public_url}{DOCS_REDIRECT}", frozenset(services[RoleTable].permissions)
    await services[ClientService].keep_own(
        DOCS_CLIENT, name="The description of the API", redirect_uri=redirect_uri, scope=scope
    )
    yield


PAGES = Feature(
    name="pages",
    uses=("accounts", "audit", "authorization", "browser", "factors", "oauth", "sessions", "signin", "system"),
    provide=provide,
    install=install,
    run=run,
    root=(
        public_router,
        signin.router,
        mailed.router,
        authorize.router,
        account_router,
        factors_router,
        overview.router,
        users.router,
        clients.router,
        audit.router,
    ),
    mails={FOLDER / "mails": ()},  # those of the accounts, with links to the pages
    events=(audit.PagesEvent,),
)
