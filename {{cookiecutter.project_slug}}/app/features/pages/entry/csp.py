"""Where a form leads in the end, and what that page may do.

Browsers hold a page's `form-action` against every redirect that follows its form. If the last one leads to an OAuth
client, the page has to name that client's origin, and names no other.
"""

from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from app.core.errors import BadRequest
from app.core.services import services_of
from app.core.settings.model import Settings
from app.features.authorization.service import AuthorizationService, RefusedRequest
from app.features.pages.kit.page import content_security_policy

AUTHORIZE = "/oauth/authorize"

_MOST_PARAMETERS = 50


async def headers_for(request: Request, next_path: str) -> dict[str, str]:
    """Return the headers of a page whose form leads to the path: what the page of an OAuth client may do with it.

    A client may open `/oauth/authorize` in a pop-up, and wait for its own page to report from there. Browsers cut that
    tie for good at the first answer, redirects included, with another `Cross-Origin-Opener-Policy` than the client's.
    Only `unsafe-none` keeps it with a page of another origin: `same-origin-allow-popups` is for the page that opens.
    """
    path, _, query = next_path.partition("?")
    authorization = services_of(request.app)[AuthorizationService]
    if path != AUTHORIZE:
        return {}
    try:
        redirect_uri = (await authorization.check(pairs_of(query))).redirect_uri
    except RefusedRequest as refused:
        redirect_uri = refused.location
    except BadRequest:
        return {}
    own = redirect_uri.startswith(f"{services_of(request.app)[Settings].public_url}/")
    policy = {"Content-Security-Policy": content_security_policy(form_action=[source_of(redirect_uri)])}
    return policy if own else policy | {"Cross-Origin-Opener-Policy": "unsafe-none"}


def pairs_of(query: str) -> list[tuple[str, str]]:
    """The parameters of a query, in order, empty ones too; raises `BadRequest` where there are too many."""
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise BadRequest("The address has too many parameters.") from None


def source_of(redirect_uri: str) -> str:
    """The redirect address as a source of a policy: its origin; its scheme where it has no host that can be named."""
    parts = urlsplit(redirect_uri)
    named = parts.scheme in {"http", "https"} and "[" not in parts.netloc
    return f"{parts.scheme}://{parts.netloc}" if named else f"{parts.scheme}:"
