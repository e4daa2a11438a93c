"""The session cookie: `__Host-`, so that no other host and no plain connection can set it (ASVS 3.3.1, 3.3.3).

Browsers take it on `http://localhost` and `http://127.0.0.1` too, except Safari, which wants HTTPS
(`make certificate`): there is no weaker one for development.
"""

import re

from starlette.requests import Request
from starlette.responses import Response

NAME = "__Host-session"

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_PREFIX = f"{NAME}=".encode()


def session_cookie(request: Request) -> str | None:
    """The value that the browser sent; None where there is none, several, or something that was never issued."""
    pairs = b";".join(value for name, value in request.scope["headers"] if name == b"cookie").split(b";")
    values = [pair.strip()[len(_PREFIX) :] for pair in pairs if pair.strip().startswith(_PREFIX)]
    if len(values) != 1:
        return None
    value = values[0].decode("latin-1")
    return value if _VALUE.fullmatch(value) else None


def set_session_cookie(response: Response, value: str) -> None:
    """Give the browser a session; it keeps it until it is closed, and this service no longer than its limits."""
    response.set_cookie(NAME, value, path="/", secure=True, httponly=True, samesite="lax")


def clear_session_cookie(response: Response) -> None:
    """Take the session from the browser, and what scripts of this origin have stored in it (ASVS 14.3.1).

    Not `"cookies"`: browsers then delete those of every other service below the same registrable domain too. Not
    `"cache"`: every page is `no-store`, so that none is kept, and what is kept, the styles and scripts, tells nothing.
    """
    response.delete_cookie(NAME, path="/", secure=True, httponly=True, samesite="lax")
    response.headers["Clear-Site-Data"] = '"storage"'
