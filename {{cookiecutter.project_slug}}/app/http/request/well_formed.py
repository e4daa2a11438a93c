"""Bounds and form of headers, path and query: each has one meaning (ASVS 1.1.1, 4.2.1, 14.2.1, 15.3.7)."""

import re

from starlette.types import Scope

from app.core.errors import BadRequest, Problem

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADER_MEMBERS = 500
MAX_TARGET_BYTES = 8 * 1024
MAX_QUERY_PARAMETERS = 50

_PLAIN = re.compile(rb"[A-Za-z0-9/_.~-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# The authorization endpoint reports a repeated parameter to its client by a redirect (RFC 6749 section 4.1.2.1), and
# `resource` may be repeated (RFC 8707 section 2).
_CHECKS_REPETITION = "/oauth/authorize"
_CREDENTIALS = frozenset(
    {"access_token", "api_key", "apikey", "authorization", "id_token", "password", "refresh_token", "token"}
)


def require_well_formed(scope: Scope) -> None:
    """Raise a `Problem` for headers, a path or a query that are too large, malformed or ambiguous."""
    _check_headers(scope)
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    if len(path) + len(query) > MAX_TARGET_BYTES:
        raise Problem("The request target is too long.", status=414)
    if not (_is_text(path) and _is_text(query)):
        raise BadRequest("The request target is not well-formed.")
    if query:
        _check_query(query, scope["path"])


def _check_headers(scope: Scope) -> None:
    size = members = credentials = 0
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        members += value.count(b",") + value.count(b";")
        credentials += name == b"authorization"
    # Members too: to parse a list or the cookies takes time for each.
    if size > MAX_HEADER_BYTES or len(scope["headers"]) > MAX_HEADERS or members > MAX_HEADER_MEMBERS:
        raise Problem("The header fields are too many or too large.", status=431)
    if credentials > 1:
        raise BadRequest("There is more than one Authorization header.")
    # Counted as the proxy, clients would share its limits.
    if scope.get("state", {}).get("client_unreadable"):
        raise BadRequest("X-Forwarded-For names the client by something that is not an IP address.")


def _check_query(query: bytes, path: str) -> None:
    # An empty pair is skipped (URL standard section 5.1).
    pairs = list(filter(None, query.split(b"&")))
    if len(pairs) > MAX_QUERY_PARAMETERS:
        raise BadRequest("The query has too many parameters.")
    names = [percent_decoded(pair.partition(b"=")[0].replace(b"+", b" ")) for pair in pairs]
    if len(set(names)) != len(names) and path != _CHECKS_REPETITION:
        raise BadRequest("A query parameter is there twice.")
    if any(name.lower() in _CREDENTIALS for name in names):
        raise BadRequest("Credentials do not belong in a query: it is kept in logs and histories.")


def _is_text(part: bytes) -> bool:
    """Return whether a part of the target is printable ASCII that decodes to printable UTF-8."""
    try:
        return bool(_PLAIN.fullmatch(part)) or not _CONTROL.search(percent_decoded(part))
    except ValueError:
        return False


def percent_decoded(part: bytes) -> str:
    """Decode percent-encoded UTF-8; raises `ValueError`."""
    if not part.isascii():
        raise ValueError("only ASCII is percent-encoded")
    # Through Python's own escapes, which are decoded in C: urllib takes ten times as long for a long text.
    escaped = part.replace(b"\\", rb"\\").replace(b"%", rb"\x")
    return escaped.decode("unicode_escape").encode("latin-1").decode()
