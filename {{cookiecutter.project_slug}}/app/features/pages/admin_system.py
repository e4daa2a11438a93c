"""How the service is made, and how it is: who may call what, and what it stands on."""

from time import perf_counter
from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.access.guard import route_policies
from app.access.permissions import Permission
from app.access.policies import Allow, policy
from app.core.database import UNAVAILABLE_ERRORS
from app.core.errors import Unavailable
from app.core.mail_delivery import MailDelivery
from app.core.settings import Settings
from app.features.pages.page import CurrentPage
from app.features.pages.route import PageRoute

router = APIRouter(prefix="/admin", route_class=PageRoute)


class Part(NamedTuple):
    """Something that the service stands on, and whether it answers."""

    name: str
    works: bool
    words: str


@router.get("/routes")
@policy(Allow(Permission.DOCS_READ))
async def routes_page(request: Request, page: CurrentPage) -> Response:
    """Show the policy of every method of every path, as `manage routes` does."""
    return page.show("admin_routes.html", routes=route_policies(request.app))


@router.get("/health")
@policy(Allow(Permission.DOCS_READ))
async def health_page(request: Request, page: CurrentPage) -> Response:
    """Show how the database, the counters and the mail are."""
    mail: MailDelivery = request.app.state.mail_delivery
    parts = [await _database(request), await _counters(request)]
    return page.show("admin_health.html", parts=parts, mail=await mail.standing())


async def _database(request: Request) -> Part:
    begin = perf_counter()
    try:
        await request.app.state.database.ping()
    except UNAVAILABLE_ERRORS:
        return Part("Database", works=False, words="does not answer")
    return Part("Database", works=True, words=f"answers in {(perf_counter() - begin) * 1000:.1f} ms")


async def _counters(request: Request) -> Part:
    settings: Settings = request.app.state.settings
    if settings.redis_url is None:
        return Part("Counters", works=True, words="in the memory of each process; REDIS_URL shares them")
    begin = perf_counter()
    try:
        await request.app.state.limiter.ping()
    except Unavailable:
        return Part("Counters", works=False, words="Redis does not answer")
    return Part("Counters", works=True, words=f"Redis answers in {(perf_counter() - begin) * 1000:.1f} ms")
