"""URLs within this service, for going back to where a user came from."""

from urllib.parse import quote, urlencode, urlsplit

from starlette.requests import Request

HOME = "/account"
FACTORS = "/account/factors"
LONGEST_PATH = 4000


def safe_next_path(text: str | None) -> str | None:
    """Return the text if it is a path of this service, with or without a query; None if it could lead elsewhere.

    Browsers read two slashes, or a slash and a backslash, as the start of a host, and ignore control characters.
    """
    if not text or len(text) > LONGEST_PATH or not text.isascii() or not text.isprintable():
        return None
    if not text.startswith("/") or text.startswith("//") or "\\" in text or " " in text:
        return None
    return text


def with_next(path: str, next_path: str) -> str:
    """Return the path, with the page that comes after it."""
    return f"{path}?next={quote(next_path, safe='/')}"


def with_query(path: str, **query: object) -> str:
    """Return the path with a query; a value of None is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def asked_page(request: Request) -> str | None:
    """Return the page that the user asked for, or the one whose form this is."""
    if request.method in {"GET", "HEAD"}:
        query = request.url.query
        return safe_next_path(f"{request.scope['path']}?{query}" if query else request.scope["path"])
    return safe_next_path(page_before(request))


def page_before(request: Request) -> str | None:
    """Return the path of the page that the `Referer` names, or None if it is of another site."""
    try:
        before = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return None
    return before.path if before.netloc == request.headers.get("Host") else None
