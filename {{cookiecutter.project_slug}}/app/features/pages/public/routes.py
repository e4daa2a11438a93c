"""The landing page, the files that pages need, and `/docs`: Swagger UI, which gets tokens as any public client."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from app.access.policies import Allow, Policy, Public, policy
from app.core.services import provided
from app.core.settings.model import Settings
from app.features.pages.kit.page import PageRouter
from app.features.pages.kit.site import PREFIX, Assets
from app.features.system.permissions import SystemPermission

DOCS_REDIRECT = "/docs/oauth2-redirect"


def public_router(settings: Settings) -> APIRouter:
    """Make the router; in production, `/docs` needs the permission for `/openapi.json` (ASVS 13.4.5)."""
    router = PageRouter(__name__)
    rule: Policy = Allow(SystemPermission.DOCS_READ) if settings.production else Public()
    router.show("/", Public(), "home.html")
    router.show("/docs", rule, "docs.html")
    # It hands the code in its URL to `/docs`. No sign-in gets the URL first, and no `Referer` has it.
    headers = {"Referrer-Policy": "no-referrer"}
    router.show(DOCS_REDIRECT, Public(), "docs_redirect.html", headers=headers)
    router.get(PREFIX + "/{version}/{name}")(_asset)
    return router


@policy(Public())
async def _asset(version: str, name: str, assets: Annotated[Assets, provided(Assets)]) -> Response:
    return assets.get(version, name)
