"""One error for a database that cannot work now, whatever its driver raises: SQLAlchemy's `OperationalError`.

SQLite's driver raises it (PEP 249). asyncpg raises its own classes, or the operating system's errors; SQLSTATE tells
them apart (https://www.postgresql.org/docs/current/errcodes-appendix.html). The answer is a 503 (ASVS 16.5.2).
"""

import asyncpg
import structlog
from fastapi import FastAPI, Request
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError, TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response

from app.core.errors import Unavailable, problem_response

# What a transaction raises when the database cannot be reached, is overloaded or does not answer in time.
UNAVAILABLE_ERRORS = (OperationalError, PoolTimeoutError)

# Connections (08), a server that takes no writes (25006) or ended an idle transaction (25P03), credentials (28) and the
# name of the database (3D), serialization and deadlock (40), resources (53), a lock that is held (55P03), shutdown and
# cancellation, the statement timeout among it (57), input and output (58), a right that the role has not (42501).
_SQLSTATES = ("08", "25006", "25P03", "28", "3D000", "40", "42501", "53", "55P03", "57", "58")
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


def unify_outages(engine: AsyncEngine) -> None:
    """Have the engine, and each one that shares its pool, raise `OperationalError` for every kind of outage."""
    event.listen(engine.sync_engine, "handle_error", _as_operational_error)


class StaleStatementError(OperationalError):
    """The schema has changed since the statement was prepared. It did not run; the next attempt prepares it anew."""


def _as_operational_error(context: ExceptionContext) -> OperationalError | None:
    """Return the error to raise instead, or None to leave it as it is."""
    error = context.original_exception
    if context.is_pre_ping or not isinstance(error, Exception):
        return None
    if isinstance(error, OSError):
        # No answer came; one that comes later would be taken for that to the next statement.
        context.is_disconnect = True
    if isinstance(error.__cause__, asyncpg.InvalidCachedStatementError):
        return StaleStatementError(None, None, error, hide_parameters=True)
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    if not (context.is_disconnect or sqlstate.startswith(_SQLSTATES)):
        return None
    # Without the statement and its parameters: neither is the cause.
    return OperationalError(None, None, error, hide_parameters=True, connection_invalidated=context.is_disconnect)
