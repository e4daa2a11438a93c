"""Addresses within this service, for going back to where somebody came from."""

from urllib.parse import quote, urlencode, urlsplit

from starlette.requests import Request

HOME = "/account"

LONGEST_PATH = 4000


def safe_next_path(text: str | None) -> str | None:
    """The text if it is a path of this service, with or without a query; None for anything that could lead elsewhere.

    Browsers read two slashes, or a slash and a backslash, as the begin of a host, and pass over control characters.
    """
    if not text or len(text) > LONGEST_PATH or not text.isascii() or not text.isprintable():
        return None
    if not text.startswith("/") or text.startswith("//") or "\\" in text or " " in text:
        return None
    return text


def with_next(path: str, next_path: str | None) -> str:
    """The path, with the page that is to come after it."""
    return path if next_path is None else f"{path}?next={quote(next_path, safe='/')}"


def next_part(path: str, cursor: str | None, **query: object) -> str | None:
    """Where the next part of a list is, for the same search; None at the end. A value that is None is left out."""
    if cursor is None:
        return None
    return (
        f"{path}?{urlencode({name: value for name, value in query.items() if value is not None} | {'cursor': cursor})}"
    )


def asked_page(request: Request) -> str | None:
    """The page that somebody was on or asked for: this one, or the one whose form this is."""
    if request.method in {"GET", "HEAD"}:
        query = request.url.query
        return safe_next_path(f"{request.scope['path']}?{query}" if query else request.scope["path"])
    return safe_next_path(page_before(request))


def page_before(request: Request) -> str | None:
    """The path of the page of this service that the browser says it comes from; None for any other page."""
    try:
        before = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return None
    return before.path if before.netloc == request.headers.get("Host") else None
