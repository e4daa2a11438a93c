"""Who is asking with a browser: the principal behind a session cookie.

A request with an `Authorization` header is judged by that alone. Whatever a cookie could do unasked,
`app/http/cross_origin.py` has refused by now.
"""

from collections.abc import Awaitable, Callable

from fastapi import Request

from app.access.principal import Principal
from app.core.errors import Unauthenticated
from app.core.security_events import SecurityEvent, security_event
from app.features.browser.cookie import session_cookie
from app.features.browser.service import BrowserSessions


class BrowserAuthenticator:
    """Makes the principal of a request with a cookie; hands any other request to whoever knows about tokens."""

    def __init__(self, browsers: BrowserSessions, bearer: Callable[[Request], Awaitable[Principal]]) -> None:
        self._browsers = browsers
        self._bearer = bearer

    async def __call__(self, request: Request) -> Principal:
        """The principal; raises `Unauthenticated`, which is logged as a security event."""
        value = session_cookie(request)
        if value is None or "Authorization" in request.headers:
            return await self._bearer(request)
        visitor = await self._browsers.visitor(value)
        if visitor is None:
            security_event(SecurityEvent.UNAUTHENTICATED, outcome="denied", reason="session ended")
            message = "The session has ended."
            raise Unauthenticated(message)
        await self._browsers.seen(visitor)
        request.state.account = visitor.account
        return visitor.principal
