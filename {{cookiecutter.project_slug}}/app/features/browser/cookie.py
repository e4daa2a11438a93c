"""The session cookie.

`__Host-`: no other host and no plain connection can set it (ASVS 3.3.1, 3.3.3). Browsers take it on `http://localhost`
too, but for Safari, which wants HTTPS (`make certificate`). `middleware/cross_origin.py` refuses cross-site requests.
"""

import re

from starlette.requests import Request
from starlette.responses import Response

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
