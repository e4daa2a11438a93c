"""Problems as browsers see them: a page that says what to do; whoever has to sign in first is led there and back.

Programs get the problem document, and so does everything below the API's paths.
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from app.core.errors import Problem, problem_document
from app.features.pages.addresses import HOME, asked_page, with_next
from app.features.pages.forms import FormRefused
from app.features.pages.page import SEE_OTHER, pages_of, visitor_of

_FOR_PROGRAMS = ("/api/", "/oauth/token", "/oauth/revoke", "/oauth/introspect", "/.well-known/")
_UNAUTHENTICATED = 401
_NEEDS_PROOF = "insufficient_user_authentication"


def present(problem: Problem, scope: Scope) -> Response:
    """The problem for whoever asked."""
    request = Request(scope)
    if not is_for_a_browser(request):
        return problem_document(problem, scope)
    if problem.status == _UNAUTHENTICATED:
        proof = _NEEDS_PROOF in problem.headers.get("WWW-Authenticate", "")
        path = "/confirm" if proof else "/login"
        return RedirectResponse(with_next(path, asked_page(request) or HOME), status_code=SEE_OTHER)
    return pages_of(scope["app"]).show(
        request, "error.html", visitor=None, status=problem.status, headers=problem.headers, problem=problem,
        request_id=scope.get("state", {}).get("request_id"),
    )  # fmt: skip


def is_for_a_browser(request: Request) -> bool:
    """Whether a person looks at the answer."""
    path = request.scope["path"]
    return "text/html" in request.headers.get("Accept", "") and not path.startswith(_FOR_PROGRAMS)


async def on_form_refused(request: Request, error: Exception) -> Response:
    """Show the form again: what was typed, and what is wrong with it."""
    assert isinstance(error, FormRefused)  # noqa: S101  # this is its handler
    return pages_of(request.app).show(
        request, error.form.template, visitor=await visitor_of(request), status=error.status, headers=error.headers,
        values=error.form.values, errors=error.errors, **error.form.context,
    )  # fmt: skip
