"""The route table, and the health of what the service depends on."""

from collections.abc import Awaitable, Callable
from time import perf_counter

from starlette.responses import Response

from app.access.guard import route_policies
from app.access.policies import Allow
from app.core.database.database import Database
from app.core.limits import Limiter
from app.core.mail.delivery import MailDelivery
from app.core.services import services_of
from app.core.settings.model import Settings
from app.features.pages.kit.page import CurrentPage, PageRouter
from app.features.system.permissions import SystemPermission

router = PageRouter(__name__, "/admin")


@router.page("/routes", Allow(SystemPermission.DOCS_READ))
async def routes_page(page: CurrentPage) -> Response:
    """Show the policy of every method of every path, as `manage routes` does."""
    return page.show("admin_routes.html", routes=route_policies(page.request.app))


@router.page("/health", Allow(SystemPermission.DOCS_READ))
async def health_page(page: CurrentPage) -> Response:
    """Show the state of the database, the counters and the mail. If one of the first two is down, answer 503."""
    services = services_of(page.request.app)
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
