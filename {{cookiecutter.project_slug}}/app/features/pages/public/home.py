"""The landing page: what this service is, and where to go."""

from fastapi import APIRouter
from starlette.responses import Response

from app.access.policies import Public, policy
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute

router = APIRouter(route_class=PageRoute)


@router.get("/")
@policy(Public())
async def home(page: CurrentPage) -> Response:
    """Say what this is: to whoever develops it, with what to do next; to everybody else, in one line."""
    return page.show("home.html")
