"""Requests that are what they seem: bounded headers, one meaning for path and query, credentials in one place.

What is refused here is not there for anything behind to stumble over (ASVS 1.1.1, 4.2.1, 14.2.1, 15.3.7).
"""

import re
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import BadRequest, HeadersTooLarge, Problem, UriTooLong, send_problem
from app.http.proxies import is_client_unreadable

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_TARGET_BYTES = 8 * 1024

_PLAIN = re.compile(rb"[A-Za-z0-9/_.~-]*")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CREDENTIALS = frozenset(
    {"access_token", "api_key", "apikey", "authorization", "id_token", "password", "refresh_token", "token"}
)


class WellFormedMiddleware:
    """Refuses what is too large, malformed or ambiguous."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a well-formed request through."""
        if scope["type"] == "http":
            problem = _header_problem(scope) or _target_problem(scope)
            if problem is not None:
                await send_problem(problem, scope, receive, send)
                return
        await self.app(scope, receive, send)


def _header_problem(scope: Scope) -> Problem | None:
    size = credentials = 0
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        credentials += name == b"authorization"
    if size > MAX_HEADER_BYTES or len(scope["headers"]) > MAX_HEADERS:
        return HeadersTooLarge("The header fields are too many or too large.")
    if credentials > 1:
        return BadRequest("There is more than one Authorization header.")
    if is_client_unreadable(scope):
        return BadRequest("X-Forwarded-For names the client by something that is not an IP address.")
    return None


def _target_problem(scope: Scope) -> Problem | None:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    if len(path) + len(query) > MAX_TARGET_BYTES:
        return UriTooLong("The request target is too long.")
    if not (_is_text(path) and _is_text(query)):
        return BadRequest("The request target is not well-formed.")
    if not query:
        return None
    names = [unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).decode() for pair in query.split(b"&")]
    if len(set(names)) != len(names):
        return BadRequest("A query parameter is there twice.")
    if any(name.lower() in _CREDENTIALS for name in names):
        return BadRequest("Credentials do not belong in a query: it is kept in logs and histories.")
    return None


def _is_text(part: bytes) -> bool:
    """Whether a part of the target is printable ASCII that decodes to printable UTF-8."""
    if _PLAIN.fullmatch(part):
        return True
    if _BAD_ESCAPE.search(part) or not part.isascii():
        return False
    try:
        decoded = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        return False
    return not _CONTROL.search(decoded)
