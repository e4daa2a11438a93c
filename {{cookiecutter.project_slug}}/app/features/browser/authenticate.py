"""Who is asking with a browser: the principal behind a session cookie.

Pages take the cookie alone. The API takes it too where a request has no `Authorization` header, and is judged by that
header alone if it has one. `app/http/middleware/cross_origin.py` has refused what other origins make a cookie do.
"""

from collections.abc import Awaitable, Callable

from fastapi import Request

from app.access.principal import Principal
from app.core.errors import Unauthenticated
from app.core.events.catalog import SecurityEvent, security_event
from app.features.browser.cookie import session_cookie
from app.features.browser.service import BrowserSessions

_ENDED = ("session ended", "The session has ended.")


class CookieAuthenticator:
    """Makes the principal of a request with a session cookie."""

    def __init__(self, browsers: BrowserSessions) -> None:
        self._browsers = browsers

    async def __call__(self, request: Request) -> Principal:
        """The principal; raises `Unauthenticated`, which is logged as a security event."""
        value = session_cookie(request)
        signed_in = await self._browsers.signed_in(value)
        if signed_in is None:
            reason, message = ("no credentials", "Sign in first.") if value is None else _ENDED
            security_event(SecurityEvent.UNAUTHENTICATED, outcome="denied", reason=reason)
            raise Unauthenticated(message)
        await self._browsers.seen(signed_in)
        request.state.account = signed_in.account
        return signed_in.principal


class BrowserAuthenticator:
    """Makes the principal of a request to the API: by its cookie, or by what else it has to show."""

    def __init__(self, cookie: CookieAuthenticator, bearer: Callable[[Request], Awaitable[Principal]]) -> None:
        self._cookie = cookie
        self._bearer = bearer

    async def __call__(self, request: Request) -> Principal:
        """The principal; raises `Unauthenticated`, which is logged as a security event."""
        shows_another = session_cookie(request) is None or "Authorization" in request.headers
        return await (self._bearer if shows_another else self._cookie)(request)
