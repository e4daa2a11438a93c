"""Problems as browsers see them: a page that says what to do; whoever has to sign in first is led there and back.

Programs get the problem document, and so does everything below the API's paths. What a program is: whoever does not ask
for HTML first (RFC 9110 section 12.5.1).
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from app.core.database.database import UNAVAILABLE_ERRORS
from app.core.errors import Problem, problem_document
from app.core.services import services_of
from app.features.pages.kit.forms import FormRefused
from app.features.pages.kit.messages import again_in, error_text, own_words
from app.features.pages.kit.page import SEE_OTHER, Pages, signed_in_user
from app.features.pages.kit.urls import HOME, asked_page, with_next

Handler = Callable[[Request, Exception], Awaitable[Response]]

_FOR_PROGRAMS = ("/api/", "/oauth/token", "/oauth/revoke", "/oauth/introspect", "/.well-known/")
_DOCUMENTS = ("application/json", "application/problem+json")
_UNAUTHENTICATED, _UNPROCESSABLE, _SERVER_ERRORS = 401, 422, 500
# A browser's has some 150. The header of a request that was refused for its headers is looked at, too.
_LONGEST_ACCEPT = 1000
_NEEDS_PROOF = "insufficient_user_authentication"


def present(problem: Problem, scope: Scope) -> Response:
    """The problem for whoever asked."""
    request = Request(scope)
    response = _page(problem, request) if is_for_a_browser(request) else problem_document(problem, scope)
    response.headers.add_vary_header("Accept")
    return response


def is_for_a_browser(request: Request) -> bool:
    """Whether a person looks at the answer."""
    if request.scope["path"].startswith(_FOR_PROGRAMS):
        return False
    wanted = _wanted(request.headers.get("Accept", ""))
    html = wanted.get("text/html", 0)
    return html > 0 and html >= max(wanted.get(kind, 0) for kind in _DOCUMENTS)


def _page(problem: Problem, request: Request) -> Response:
    """A page that says what is wrong and what to do, or the page on which to do it."""
    if problem.status == _UNAUTHENTICATED:
        proof = _NEEDS_PROOF in problem.headers.get("WWW-Authenticate", "")
        path = "/confirm" if proof else "/login"
        return RedirectResponse(with_next(path, asked_page(request) or HOME), status_code=SEE_OTHER)
    return services_of(request.app)[Pages].show(
        request, "error.html", signed_in=getattr(request.state, "signed_in", None),
        status=problem.status, headers=problem.headers, problem=problem,
        said=error_text(problem), detail=own_words(problem), again=again_in(problem.headers.get("Retry-After")),
        request_id=request.scope.get("state", {}).get("request_id"),
    )  # fmt: skip


def _wanted(accept: str) -> dict[str, float]:
    """The media types that are asked for by name, and how much each is wanted."""
    wanted = {}
    for part in accept[:_LONGEST_ACCEPT].split(","):
        kind, *parameters = (text.strip().lower() for text in part.split(";"))
        weights = [text.removeprefix("q=") for text in parameters if text.startswith("q=")]
        try:
            wanted[kind] = float(weights[0]) if weights else 1.0
        except ValueError:
            wanted[kind] = 0.0
    return wanted


def with_signed_in_user(handle: Handler) -> Handler:
    """Wrap an exception handler, so that the page of a 4xx shows the signed-in user.

    Not for a 5xx, because the database may be down. Middleware answers without it, so that its refusals cost no query.
    """

    async def handler(request: Request, error: Exception) -> Response:
        status = getattr(error, "status", getattr(error, "status_code", _UNPROCESSABLE))
        if _UNAUTHENTICATED != status < _SERVER_ERRORS and is_for_a_browser(request):
            with suppress(Problem, *UNAVAILABLE_ERRORS):
                request.state.signed_in = await signed_in_user(request)
        return await handle(request, error)

    return handler


async def on_form_refused(request: Request, error: Exception) -> Response:
    """Show the form again: what was typed, and what is wrong with it."""
    assert isinstance(error, FormRefused)  # noqa: S101  # this is its handler
    context = dict(error.form.context)
    headers = {**context.pop("headers", {}), **error.headers}
    return services_of(request.app)[Pages].show(
        request, error.form.template, signed_in=await signed_in_user(request), status=error.status, headers=headers,
        values=error.form.values, errors=error.errors, **context,
    )  # fmt: skip
