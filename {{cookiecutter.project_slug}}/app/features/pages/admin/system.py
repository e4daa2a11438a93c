"""How the service is made, and how it is: who may call what, and what it stands on."""

from collections.abc import Awaitable, Callable
from time import perf_counter

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.access.guard import route_policies
from app.access.policies import Allow, policy
from app.core.database.database import Database
from app.core.limits.limiter import Limiter
from app.core.mail.delivery import MailDelivery
from app.core.services import services_of
from app.core.settings.model import Settings
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.system.permissions import SystemPermission

router = APIRouter(prefix="/admin", route_class=PageRoute)


@router.get("/routes")
@policy(Allow(SystemPermission.DOCS_READ))
async def routes_page(request: Request, page: CurrentPage) -> Response:
    """Show the policy of every method of every path, as `manage routes` does."""
    return page.show("admin_routes.html", routes=route_policies(request.app))


@router.get("/health")
@policy(Allow(SystemPermission.DOCS_READ))
async def health_page(request: Request, page: CurrentPage) -> Response:
    """Show how the database, the counters and the mail are. Without the first two, no page is shown: 503."""
    services = services_of(request.app)
    return page.show(
        "admin_health.html",
        database=await _milliseconds(services[Database].ping),
        counters=await _milliseconds(services[Limiter].ping),
        shared=services[Settings].redis_url is not None,
        mail=await services[MailDelivery].standing(),
    )


async def _milliseconds(ask: Callable[[], Awaitable[None]]) -> str:
    begin = perf_counter()
    await ask()
    return f"{(perf_counter() - begin) * 1000:.1f} ms"
