"""Problems as pages, or redirects to the sign-in, for browsers: those prefer HTML (RFC 9110 section 12.5.1)."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import cast

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from app.access.policies import FactorRequired
from app.core.database.database import UNAVAILABLE_ERRORS
from app.core.errors import Problem, Unauthenticated, Unprocessable, problem_document
from app.features.pages.kit.forms import FormRefused
from app.features.pages.kit.page import SEE_OTHER, HtmlPage, signed_in_user
from app.features.pages.kit.urls import FACTORS, HOME, asked_page, with_next
from app.features.pages.kit.words import again_in, own_words

Handler = Callable[[Request, Exception], Awaitable[Response]]

_FOR_PROGRAMS = ("/api/", "/oauth/token", "/oauth/revoke", "/oauth/introspect", "/.well-known/")
_DOCUMENTS = ("application/json", "application/problem+json")
# A browser's has some 150. The header of a request that was refused for its headers is looked at, too.
_LONGEST_ACCEPT = 1000
_NEEDS_PROOF = "insufficient_user_authentication"


def present(problem: Problem, scope: Scope) -> Response:
    """Show the problem as a page or as a document."""
    request = Request(scope)
    response = _page(problem, request) if _is_for_a_browser(request) else problem_document(problem, scope)
    response.headers.add_vary_header("Accept")
    return response


async def on_form_refused(_: Request, error: Exception) -> Response:
    """Answer with the page that shows the form again."""
    return cast("FormRefused", error).page


def _is_for_a_browser(request: Request) -> bool:
    if request.scope["path"].startswith(_FOR_PROGRAMS):
        return False
    wanted = _wanted(request.headers.get("Accept", ""))
    html = wanted.get("text/html", 0)
    return html > 0 and html >= max(wanted.get(kind, 0) for kind in _DOCUMENTS)


def _page(problem: Problem, request: Request) -> Response:
    if problem.status == Unauthenticated.status:
        path = "/confirm" if _NEEDS_PROOF in problem.headers.get("WWW-Authenticate", "") else "/login"
        return RedirectResponse(with_next(path, asked_page(request) or HOME), status_code=SEE_OTHER)
    if isinstance(problem, FactorRequired):
        return RedirectResponse(FACTORS, status_code=SEE_OTHER)
    return HtmlPage(request, signed_in=getattr(request.state, "signed_in", None)).show(
        "error.html", status=problem.status, headers=problem.headers, problem=problem,
        detail=own_words(problem), again=again_in(problem.headers.get("Retry-After")),
        request_id=request.scope.get("state", {}).get("request_id"),
    )  # fmt: skip


def _wanted(accept: str) -> dict[str, float]:
    """Return the weight of each media type that is asked for by name."""
    wanted = {}
    for part in accept[:_LONGEST_ACCEPT].split(","):
        kind, *parameters = (text.strip().lower() for text in part.split(";"))
        weights = [text.removeprefix("q=") for text in parameters if text.startswith("q=")]
        wanted[kind] = 0.0
        with suppress(ValueError):
            wanted[kind] = float(weights[0]) if weights else 1.0
    return wanted


def with_signed_in_user(handle: Handler) -> Handler:
    """Let the page of a 4xx show the signed-in user; not that of a 5xx, when the database may be down."""

    async def handler(request: Request, error: Exception) -> Response:
        status = getattr(error, "status", getattr(error, "status_code", Unprocessable.status))
        asks = Unauthenticated.status != status < HTTPStatus.INTERNAL_SERVER_ERROR
        if asks and _is_for_a_browser(request):
            with suppress(Problem, *UNAVAILABLE_ERRORS):
                request.state.signed_in = await signed_in_user(request)
        return await handle(request, error)

    return handler
