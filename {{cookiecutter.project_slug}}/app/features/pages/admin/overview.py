"""The administration: where it begins."""

from fastapi import APIRouter
from starlette.responses import Response

from app.access.policies import Allow, policy
from app.features.accounts.permissions import UserPermission
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute

router = APIRouter(prefix="/admin", route_class=PageRoute)


@router.get("")
@policy(Allow(UserPermission.USERS_READ))
async def admin_page(page: CurrentPage) -> Response:
    """Say what can be done here, by whoever asks."""
    return page.show("admin.html")
