"""One error class, one shape: RFC 9457, and RFC 6749 below `/oauth/`. No answer repeats a value that was sent."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

OAUTH_PREFIX = "/oauth/"


class Problem(Exception):
    """An error that the client is told of.

    `status`, `title` and `type` are those of RFC 9457; `oauth_error` is the code of RFC 6749 section 5.2 that stands
    in for it below `/oauth/`. `detail` goes to the client: it never holds a value that was sent, nor an internal.
    """

    status = 500
    title: str
    type = "about:blank"
    oauth_error = "invalid_request"

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, object]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status or self.status
        self.title = _title(self.status)
        self.headers = dict(headers or {})
        self.errors = errors


class BadRequest(Problem):
    """The request cannot be understood."""

    status = 400


class Unauthenticated(Problem):
    """No valid credentials came with the request (RFC 6750 section 3)."""

    status, oauth_error = 401, "invalid_client"

    def __init__(self, detail: str, *, challenge: str = "Bearer") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class Forbidden(Problem):
    """The principal may not do this."""

    status, oauth_error = 403, "access_denied"


class NotFound(Problem):
    """There is no such thing, or it is not the principal's to see."""

    status = 404


class Conflict(Problem):
    """The request is fine, the state of the thing forbids it."""

    status = 409


def require_room(kept: int, most: int, what: str) -> None:
    """Raise `Conflict` if a user, whose account is locked, has as many of something as they may have."""
    if kept >= most:
        raise Conflict(f"There are {most} {what}, and no more are allowed. Remove one first.")


class Unprocessable(Problem):
    """The body was read, and breaks a rule."""

    status = 422


class _RetryLater(Problem):
    oauth_error = "temporarily_unavailable"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after))})


class TooManyRequests(_RetryLater):
    """A limit is reached (RFC 6585); `retry_after` is in seconds."""

    status = 429


class Unavailable(_RetryLater):
    """The service cannot answer now; `retry_after` is in seconds."""

    status = 503


def problem_response(problem: Problem, scope: Scope) -> Response:
    """Make the answer for `problem`: with `app.state.present` if it is set, otherwise with `problem_document`."""
    state = getattr(scope.get("app"), "state", None)
    present: Callable[[Problem, Scope], Response] = getattr(state, "present", problem_document)
    return present(problem, scope)


def problem_document(problem: Problem, scope: Scope) -> Response:
    """Make the answer for programs: RFC 6749 section 5.2 below `/oauth/`, RFC 9457 everywhere else."""
    path: str = scope["path"]
    if path.startswith(OAUTH_PREFIX):
        # RFC 6749 has no 422: a parameter that breaks a rule is a bad request.
        status = HTTPStatus.BAD_REQUEST if problem.status == HTTPStatus.UNPROCESSABLE_ENTITY else problem.status
        error = {"error": problem.oauth_error, "error_description": problem.detail}
        return JSONResponse(error, status, problem.headers)
    body: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": quote(path),
        "request_id": scope.get("state", {}).get("request_id"),
    }
    if problem.errors is not None:
        body["errors"] = list(problem.errors)
    return JSONResponse(body, problem.status, problem.headers, "application/problem+json")


async def send_problem(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with `problem` from a middleware."""
    await problem_response(problem, scope)(scope, receive, send)


def answer_with(app: FastAPI, kind: int | type[Exception], to_problem: Callable[[Any, Scope], Problem]) -> None:
    """Have errors of a type, or with a status, answered with the problem that is made of them."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_response(to_problem(error, request.scope), request.scope)

    app.add_exception_handler(kind, answer)


def install_error_handlers(app: FastAPI) -> None:
    """Give every error that an endpoint or the router can raise the one shape."""
    answer_with(app, Problem, lambda problem, _: problem)
    answer_with(app, HTTPException, _from_http_exception)
    answer_with(app, RequestValidationError, _from_validation_error)


def _from_http_exception(error: HTTPException, _: Scope) -> Problem:
    """Make a problem of a framework's error. Its detail is dropped: it may hold what the client sent."""
    return Problem(f"{_title(error.status_code)}.", status=error.status_code, headers=error.headers)


def _from_validation_error(error: RequestValidationError, _: Scope) -> Problem:
    """Say where and why each part was refused, never its value (ASVS 16.2.5); of very many, the first."""
    where_and_why = [
        {
            "location": [_safe_step(step) for step in item["loc"]],
            "reason": item["type" if item["type"] in _QUOTING_TYPES else "msg"],
        }
        for item in error.errors()[:50]
    ]
    return Unprocessable("The request breaks a rule; see errors.", errors=where_and_why)


def _safe_step(step: object) -> object:
    """Return a step of a location as it may be shown: the name of an unknown field is what the client sent."""
    return step if isinstance(step, int) or (str(step).isidentifier() and len(str(step)) <= _LONGEST_STEP) else "?"


def _title(status: int) -> str:
    return _TITLES.get(status) or HTTPStatus(status).phrase


# The names of RFC 9110, which Python has since 3.13.
_TITLES = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}
_LONGEST_STEP = 64
# Types of errors that stand in for their message: it is made of the input, or of an exception's own text.
_QUOTING_TYPES = frozenset({"json_invalid", "uuid_parsing", "url_parsing", "assertion_error"})
