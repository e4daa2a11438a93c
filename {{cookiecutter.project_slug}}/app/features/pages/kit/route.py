"""The route class of the pages: guarded as every route is, and every form is asked where it comes from."""

from typing import Any

from fastapi import Request

from app.access.guard import GuardedRoute
from app.access.principal import Principal
from app.core.services import services_of
from app.core.settings.model import Settings
from app.features.browser.authenticate import CookieAuthenticator
from app.http.middleware.cross_origin import cross_origin_refusal, is_own_origin
from app.http.request.strict_json import StrictRequest


class PageRoute(GuardedRoute):
    """A page, or what a form of a page is sent to. It is no part of the API's description."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options | {"include_in_schema": False})

    async def authenticate(self, request: Request) -> Principal:
        """Make the principal of the session cookie alone: no token opens a page, whatever it may do elsewhere."""
        return await services_of(request.app)[CookieAuthenticator](request)

    async def load(self, request: StrictRequest) -> None:
        """Read the form; raises `Forbidden` for one of another origin, with a cookie or without.

        Without one, a page of somebody else could still sign a user in as somebody else (ASVS 3.5.1).
        """
        if request.method == "POST":
            if not is_own_origin(request.scope, services_of(request.app)[Settings].public_url):
                raise cross_origin_refusal()
            await request.load(form=True)
