"""Who is asking with a browser: the principal behind a session cookie.

Pages take the cookie alone. The API takes it too where a request has no `Authorization` header, and is judged by that
header alone if it has one. `app/http/middleware/cross_origin.py` has refused what other origins make a cookie do.
"""

from fastapi import Request, Response

from app.access.events import AccessEvent
from app.access.principal import Principal
from app.core.errors import Unauthenticated
from app.core.events.flow import emit_event
from app.features.browser.cookie import session_cookie, set_session_cookie
from app.features.browser.service import BrowserSessions

_ENDED = ("session ended", "The session has ended.")


class CookieAuthenticator:
    """Makes the principal of a request with a session cookie."""

    def __init__(self, browsers: BrowserSessions) -> None:
        self._browsers = browsers

    def takes(self, request: Request) -> bool:
        """Whether the request has the cookie, and no other credentials, which would be what it is judged by."""
        return session_cookie(request) is not None and "Authorization" not in request.headers

    async def __call__(self, request: Request) -> Principal:
        """The principal; raises `Unauthenticated`, which is logged as a security event."""
        value = session_cookie(request)
        signed_in = await self._browsers.signed_in(value)
        if signed_in is None:
            reason, message = ("no credentials", "Sign in first.") if value is None else _ENDED
            emit_event(AccessEvent.UNAUTHENTICATED, outcome="denied", reason=reason)
            raise Unauthenticated(message)
        await self._browsers.seen(signed_in)
        request.state.account = signed_in.account
        return signed_in.principal

    async def renew(self, request: Request, response: Response, principal: Principal) -> None:
        """Put another cookie into the response if the request was authenticated by one: the old one is dead."""
        value = await self._browsers.confirm(principal) if self.takes(request) else None
        if value is not None:
            set_session_cookie(response, value)
