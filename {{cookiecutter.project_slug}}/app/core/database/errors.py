"""One error for a database that cannot do its work now, whatever its driver calls it: SQLAlchemy's `OperationalError`.

PEP 249 has that class for it, and SQLite's driver uses it. asyncpg raises classes of its own, or the operating system's
errors; they are told apart by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError, TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

# What a transaction raises when the database cannot be reached, is overloaded or does not answer in time.
UNAVAILABLE_ERRORS = (OperationalError, PoolTimeoutError)

# Connections (08), a server that takes no writes (25006) or ended an idle transaction (25P03), credentials (28) and the
# name of the database (3D), serialization and deadlock (40), resources (53), a lock that is held (55P03), shutdown and
# cancellation, the statement timeout among it (57), input and output (58).
_SQLSTATES = ("08", "25006", "25P03", "28", "3D000", "40", "53", "55P03", "57", "58")


def unify_outages(engine: AsyncEngine) -> None:
    """Have the engine, and each one that shares its pool, raise `OperationalError` for every kind of outage."""
    event.listen(engine.sync_engine, "handle_error", _as_operational_error)


class StaleStatementError(OperationalError):
    """The schema has changed since the statement was prepared. It was not done, and is prepared anew the next time."""


def _as_operational_error(context: ExceptionContext) -> OperationalError | None:
    """The error to raise instead, or None to leave it as it is."""
    error = context.original_exception
    if context.is_pre_ping or not isinstance(error, Exception):
        return None
    if isinstance(error, OSError):
        # No answer came, and what comes later would be taken for the answer to the next statement.
        context.is_disconnect = True
    if isinstance(error.__cause__, asyncpg.InvalidCachedStatementError):
        return StaleStatementError(None, None, error, hide_parameters=True)
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    if not (context.is_disconnect or sqlstate.startswith(_SQLSTATES)):
        return None
    # Without the statement and what it was given: neither is the cause.
    return OperationalError(None, None, error, hide_parameters=True, connection_invalidated=context.is_disconnect)
