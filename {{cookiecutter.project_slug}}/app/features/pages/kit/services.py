"""Services that only pages call, as parameters of their handlers."""

from typing import Annotated

from app.core.services import provided
from app.features.authorization.service import AuthorizationService
from app.features.browser.service import BrowserSessions

Authorization = Annotated[AuthorizationService, provided(AuthorizationService)]
Browsers = Annotated[BrowserSessions, provided(BrowserSessions)]
