"""Requests that are what they seem: bounded headers, one meaning for path and query, credentials in one place.

What is refused here is not there for anything behind to stumble over (ASVS 1.1.1, 4.2.1, 14.2.1, 15.3.7).
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import BadRequest, HeadersTooLarge, Problem, UriTooLong, send_problem
from app.http.request.proxies import is_client_unreadable

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADER_MEMBERS = 500
MAX_TARGET_BYTES = 8 * 1024
MAX_QUERY_PARAMETERS = 50

_PLAIN = re.compile(rb"[A-Za-z0-9/_.~-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# An authorization request answers for its own parameters: its client is told of one that is repeated, by a redirect
# (RFC 6749 section 4.1.2.1), and `resource` may be (RFC 8707 section 2).
_JUDGES_REPETITION = "/oauth/authorize"
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
    size = members = credentials = 0
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        members += value.count(b",") + value.count(b";")
        credentials += name == b"authorization"
    # Members too: whoever reads a list or the cookies, the framework as well, takes as long as there are many.
    if size > MAX_HEADER_BYTES or len(scope["headers"]) > MAX_HEADERS or members > MAX_HEADER_MEMBERS:
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
    return _query_problem(query, scope["path"]) if query else None


def _query_problem(query: bytes, path: str) -> Problem | None:
    # What is between two `&`, or after the last, is none where it is empty (URL standard section 5.1).
    pairs = list(filter(None, query.split(b"&")))
    if len(pairs) > MAX_QUERY_PARAMETERS:
        return BadRequest("The query has too many parameters.")
    names = [percent_decoded(pair.partition(b"=")[0].replace(b"+", b" ")) for pair in pairs]
    if len(set(names)) != len(names) and path != _JUDGES_REPETITION:
        return BadRequest("A query parameter is there twice.")
    if any(name.lower() in _CREDENTIALS for name in names):
        return BadRequest("Credentials do not belong in a query: it is kept in logs and histories.")
    return None


def _is_text(part: bytes) -> bool:
    """Whether a part of the target is printable ASCII that decodes to printable UTF-8."""
    if _PLAIN.fullmatch(part):
        return True
    try:
        decoded = percent_decoded(part)
    except ValueError:
        return False
    return not _CONTROL.search(decoded)


def percent_decoded(part: bytes) -> str:
    """Decode what is percent-encoded UTF-8; raises `ValueError` for what is not.

    As Python's own escapes, which are decoded in C: urllib's loop takes ten times as long for a long text.
    """
    if not part.isascii():
        raise ValueError("only ASCII is percent-encoded")
    escaped = part.replace(b"\\", rb"\\").replace(b"%", rb"\x")
    return escaped.decode("unicode_escape").encode("latin-1").decode()
