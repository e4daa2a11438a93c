"""Health, the description of the API, and service information, as a feature."""

from app.access.roles import ADMINISTRATORS
from app.core.database.database import Database
from app.core.limits import Limiter
from app.feature import Feature
from app.features.system.permissions import SystemPermission
from app.features.system.routes import READY_SECONDS, SharedCheck, docs_router, health_router, router

SYSTEM = Feature(
    name="system",
    provide=lambda services: SharedCheck(services[Database].ping, services[Limiter].ping, seconds=READY_SECONDS),
    api=(router,),
    root=(health_router, docs_router),
    grants={SystemPermission.DOCS_READ: ADMINISTRATORS},
)
