"""The composition root. `app.main:app` is made when it is first asked for: importing this module reads no settings."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from fastapi import APIRouter, FastAPI

from app.access.guard import GuardedRoute, GuardedRouter, route_policies
from app.access.openapi import install_openapi
from app.assembly import FEATURES, load_settings, make_services, running
from app.core.database.database import Database
from app.core.database.migrations import require_current, upgrade
from app.core.database.postgresql import install_outage_handlers
from app.core.errors import install_error_handlers
from app.core.limits import Limiter
from app.core.logging.setup import configure_logging
from app.core.services import require_services, services_of
from app.core.settings import model as configuration
from app.core.settings.deploy_check import log_findings
from app.core.settings.model import Settings
from app.core.settings.report import SettingsError
from app.feature import API_PREFIX
from app.http.request.allowed_methods import install_allowed_methods
from app.http.stack import middleware


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the service; raises `SettingsError`, `PolicyError` for a route, and `FeatureError`."""
    settings = settings or load_settings()
    configure_logging(settings)
    log_findings(settings, configuration.ENV_FILE)
    services = make_services(settings)
    app = FastAPI(
        title=settings.app_name,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=middleware(settings, services[Limiter]),
        # Else variables of the environment would have paths, queries and texts of exceptions sent.
        telemetry={
            "tracing": any(feature.spans(services) for feature in FEATURES),
            "metrics": False,
            "logs": False,
            "auto_configure": False,
        },
        lifespan=_lifespan,
    )
    app.state.services = services
    app.router.route_class = GuardedRoute
    roots = (router for feature in FEATURES for router in feature.root)
    for router in (_api(), *(each if isinstance(each, APIRouter) else each(settings) for each in roots)):
        # As they are: nothing of the application is to be added to them, and to make each anew takes time.
        app.router.routes.extend(router.routes)
    install_error_handlers(app)
    install_outage_handlers(app)
    for feature in FEATURES:
        feature.install(app)
    install_allowed_methods(app)
    install_openapi(app)
    route_policies(app)
    require_services(app)
    return app


@cache
def _api() -> APIRouter:
    """Make the routes of the API, once for the process: they depend on no setting, and take time."""
    api = GuardedRouter(prefix=API_PREFIX)
    for feature in FEATURES:
        for router in feature.api:
            api.include_router(router)
    return api


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Stand on a current schema before the first request; close everything after the last."""
    async with services_of(app) as services:
        settings = services[Settings]
        if not settings.production:
            await upgrade(settings.database_url)
        await require_current(services[Database])
        async with running(services):
            yield


def __getattr__(name: str) -> FastAPI:
    """Make `app` when a server asks for it; unusable settings end the process with a readable message."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        app = create_app()
    except SettingsError as error:
        sys.exit(str(error))
    globals()["app"] = app
    # What the service is made of stays. To look for garbage among it would stop every request for 50 ms.
    gc.collect()
    gc.freeze()
    return app
