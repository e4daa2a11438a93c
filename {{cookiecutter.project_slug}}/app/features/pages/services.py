"""The services that pages call, as parameters of their handlers: those of the API, and those that it has not."""

from typing import Annotated

from fastapi import Depends, Request

from app.features.accounts.mailed_routes import EmailChanges, Invitations
from app.features.accounts.routes import Accounts, Administration, OwnAccount
from app.features.audit.routes import Audit
from app.features.authorization.service import AuthorizationService
from app.features.browser.service import BrowserSessions
from app.features.oauth.client_routes import Clients
from app.features.sessions.routes import Sessions

__all__ = [
    "Accounts",
    "Administration",
    "Audit",
    "Authorization",
    "Browsers",
    "Clients",
    "EmailChanges",
    "Invitations",
    "OwnAccount",
    "Sessions",
]


async def _authorization(request: Request) -> AuthorizationService:
    service: AuthorizationService = request.app.state.authorization
    return service


async def _browsers(request: Request) -> BrowserSessions:
    service: BrowserSessions = request.app.state.browsers
    return service


Authorization = Annotated[AuthorizationService, Depends(_authorization)]
Browsers = Annotated[BrowserSessions, Depends(_browsers)]
