"""`/docs`: the description of the API, to read and to try, made with Swagger UI from files of this service alone.

Its button "Authorize" gets a token as every public client does: by authorization code with PKCE, in a window that comes
back to `/docs/oauth2-redirect`.
"""

from fastapi import APIRouter
from starlette.responses import Response

from app.access.policies import Allow, Policy, Public, policy
from app.core.settings.model import Settings
from app.features.pages.kit.page import CurrentPage, content_security_policy
from app.features.pages.kit.route import PageRoute
from app.features.system.permissions import SystemPermission

DOCS_REDIRECT = "/docs/oauth2-redirect"


def api_docs_router(settings: Settings) -> APIRouter:
    """The page, for whoever may read `/openapi.json` (ASVS 13.4.5)."""
    router = APIRouter(route_class=PageRoute)
    rule: Policy = Allow(SystemPermission.DOCS_READ) if settings.production else Public()

    @router.get("/docs")
    @policy(rule)
    async def docs(page: CurrentPage) -> Response:
        """Describe the API."""
        return page.show("docs.html", policy=content_security_policy(scripts=True))

    @router.get(DOCS_REDIRECT)
    @policy(Public())
    async def docs_redirect(page: CurrentPage) -> Response:
        """Hand the code to the page that asked for it. Nothing is on it: nobody has to sign in first, with the code."""
        # The address holds the code: it is told to nobody, not even with the request for the script.
        headers = {"Referrer-Policy": "no-referrer"}
        return page.show("docs_redirect.html", policy=content_security_policy(scripts=True), headers=headers)

    return router
