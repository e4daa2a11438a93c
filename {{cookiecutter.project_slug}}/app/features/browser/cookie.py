"""The session cookie, and the principal of a request that has it; on the API, if it has no `Authorization` header.

`__Host-`: no other host and no plain connection can set it (ASVS 3.3.1, 3.3.3). Browsers take it on `http://localhost`
too, but for Safari, which wants HTTPS (`make certificate`). `middleware/cross_origin.py` refuses cross-site requests.
"""

import re
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from app.access.guard import AccessEvent
from app.access.policies import Principal
from app.core.errors import Unauthenticated
from app.core.events import emit_event
from app.features.browser.service import BrowserSessions
from app.features.sessions.service import SetCookie

NAME = "__Host-session"

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_PREFIX = f"{NAME}=".encode()


def session_cookie(request: Request) -> str | None:
    """Return the value that the browser sent; None if there is none, several, or one that was never issued."""
    pairs = b";".join(value for name, value in request.scope["headers"] if name == b"cookie").split(b";")
    values = [pair.strip()[len(_PREFIX) :] for pair in pairs if pair.strip().startswith(_PREFIX)]
    value = values[0].decode("latin-1") if len(values) == 1 else ""
    return value if _VALUE.fullmatch(value) else None


def set_session_cookie(response: Response, value: str | None) -> Response:
    """Give the browser a session, if there is one, until it is closed, and return the response."""
    if value is not None:
        response.set_cookie(NAME, value, path="/", secure=True, httponly=True, samesite="lax")
    return response


def clear_session_cookie(response: Response) -> None:
    """Take the session from the browser, and what scripts of this origin have stored in it (ASVS 14.3.1).

    Not `"cookies"`, which deletes those of other services below the same domain. Not `"cache"`: pages are `no-store`.
    """
    response.delete_cookie(NAME, path="/", secure=True, httponly=True, samesite="lax")
    response.headers["Clear-Site-Data"] = '"storage"'


@dataclass(frozen=True)
class CookieAuthenticator:
    """Makes the principal of a request with a session cookie."""

    _browsers: BrowserSessions

    def takes(self, request: Request) -> bool:
        """Return whether the request has the cookie, and no other credentials."""
        return session_cookie(request) is not None and "Authorization" not in request.headers

    async def __call__(self, request: Request) -> Principal:
        """Return the principal; raises `Unauthenticated`, which is recorded as a security event."""
        value = session_cookie(request)
        signed_in = await self._browsers.signed_in(value)
        if signed_in is None:
            reason = "no credentials" if value is None else "session ended"
            emit_event(AccessEvent.UNAUTHENTICATED, outcome="denied", reason=reason)
            raise Unauthenticated("Sign in first." if value is None else "The session has ended.")
        await self._browsers.seen(signed_in)
        request.state.account = signed_in.account
        return signed_in.principal

    async def renew(self, db: AsyncSession, principal: Principal) -> SetCookie:
        """Make another cookie, if its session has one, for what a principal is by now."""
        return partial(set_session_cookie, value=await self._browsers.renew(db, principal))
