"""A database that does not answer is a 503, not a crash: the client is told to come back (ASVS 16.5.2)."""

import structlog
from fastapi import FastAPI, Request
from starlette.responses import Response

from app.core.database.database import UNAVAILABLE_ERRORS
from app.core.errors import Unavailable, problem_response

_RETRY_AFTER_SECONDS = 5

_log = structlog.get_logger("app")


def install_outage_handlers(app: FastAPI) -> None:
    """Answer 503 for the errors of a database that cannot be reached."""

    async def on_outage(request: Request, error: Exception) -> Response:
        _log.error("database_unavailable", error=type(error).__name__, exc_info=error)
        problem = Unavailable("The database does not answer.", retry_after=_RETRY_AFTER_SECONDS)
        return problem_response(problem, request.scope)

    for kind in UNAVAILABLE_ERRORS:
        app.add_exception_handler(kind, on_outage)
