"""The services that pages call, as parameters of their handlers: those of the API, and those that it has not."""

from typing import Annotated

from app.core.state import from_state
from app.features.accounts.mailed.routes import EmailChanges, Invitations
from app.features.accounts.routes import Accounts, Administration, OwnAccount
from app.features.audit.routes import Audit
from app.features.authorization.service import AuthorizationService
from app.features.browser.service import BrowserSessions
from app.features.oauth.clients.routes import Clients
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


Authorization = Annotated[AuthorizationService, from_state("authorization")]
Browsers = Annotated[BrowserSessions, from_state("browsers")]
