"""Redirect URIs: which can be registered, and whether a request has a registered one (RFC 9700 section 2.1).

They are compared as text, but for the port of a loopback URI, which a native application gets when it starts (RFC 8252
section 7.3). Only URIs with one spelling are registered: what is compared is where a browser goes.
"""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

LONGEST_URI = 500

# RFC 3986, without what could hide another meaning: no `*`, no `@` in the authority, no `#`, no `\`.
_CHARACTERS = r"(?:[A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-F]{2})"
_REST = rf"(?P<path>(?:/{_CHARACTERS}*)*)(?P<query>\?(?:{_CHARACTERS}|[/?])*)?"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PORT = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_HTTPS = re.compile(rf"https://(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]{{2,39}}\]){_PORT}{_REST}", re.ASCII)
_LOOPBACK = re.compile(rf"(?P<host>http://(?:127\.0\.0\.1|\[::1\])){_PORT}(?P<rest>{_REST})", re.ASCII)
# RFC 8252 section 7.1: a reversed domain name of the application's owner, so that schemes do not collide.
_PRIVATE = re.compile(rf"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:(?://{_LABEL}(?:\.{_LABEL})*|(?=/(?!/))){_REST}", re.ASCII)
_DOTS = re.compile(r"(?:\.|%2E){1,2}")
_HIDDEN = re.compile(r"%(?:2F|5C|[01][0-9A-F]|7F)")

_LARGEST_PORT = 65535
# What the answer adds to the URI (RFC 6749 section 4.1.2, RFC 9207): it cannot be there before.
_OF_THE_ANSWER = frozenset({"code", "error", "error_description", "error_uri", "iss", "state"})


def check_redirect_uri(uri: str) -> str:
    """Return the URI if it can be registered; raises `ValueError` with a reason that does not repeat it."""
    shape = _LOOPBACK.fullmatch(uri) or _HTTPS.fullmatch(uri) or _PRIVATE.fullmatch(uri)
    if shape is None or len(uri) > LONGEST_URI:
        raise ValueError(
            "must be an absolute https address, http on 127.0.0.1 or [::1], or a private scheme with a dot:"
            " lower-case host, no user, wildcard or fragment"
        )
    groups = shape.groupdict()
    if int(groups.get("port") or 0) > _LARGEST_PORT:
        raise ValueError("has a port that does not exist")
    if any(map(_DOTS.fullmatch, groups["path"].split("/"))) or _HIDDEN.search(groups["path"]):
        raise ValueError("has a path that a browser would change")
    query = parse_qsl((groups["query"] or "?")[1:], keep_blank_values=True)
    if not _OF_THE_ANSWER.isdisjoint(name for name, _ in query):
        raise ValueError("has a query with a parameter that the answer adds")
    return uri


def is_registered(uri: str, registered: Iterable[str], *, any_port: bool = True) -> bool:
    """Return whether the URI of a request is registered; with `any_port`, a loopback URI in any port."""
    return any(uri == known or (any_port and _differ_in_port(uri, known)) for known in registered)


def _differ_in_port(uri: str, known: str) -> bool:
    asked, allowed = _LOOPBACK.fullmatch(uri), _LOOPBACK.fullmatch(known)
    if asked is None or allowed is None or int(asked["port"] or 0) > _LARGEST_PORT:
        return False
    return (asked["host"], asked["rest"]) == (allowed["host"], allowed["rest"])
