"""One error for a database that cannot do its work now, whatever its driver calls it: SQLAlchemy's `OperationalError`.

PEP 249 has that class for it, and SQLite's driver uses it. asyncpg raises classes of its own, or the operating system's
errors; they are told apart by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

import ssl
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError, TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database_url import connect_arguments

# What a unit of work raises when the database cannot be reached, is overloaded or does not answer in time.
UNAVAILABLE_ERRORS = (OperationalError, PoolTimeoutError)

# Connections (08), a server that takes no writes (25006) or ended an idle transaction (25P03), credentials (28) and the
# name of the database (3D), serialization and deadlock (40), resources (53), a lock that is held (55P03), shutdown and
# cancellation, the statement timeout among it (57), input and output (58).
_SQLSTATES = ("08", "25006", "25P03", "28", "3D000", "40", "53", "55P03", "57", "58")


async def connect_postgresql(*arguments: Any, **options: Any) -> asyncpg.Connection:
    """Connect with asyncpg; an error of the operating system becomes one with an SQLSTATE, as the others have.

    The options are those of a URL of `database_dsn`.
    """
    try:
        return await asyncpg.connect(*arguments, **connect_arguments(options))
    except ssl.SSLCertVerificationError as error:
        message = "the server's certificate is for another host, or of an authority that sslrootcert does not hold"
        raise asyncpg.ClientCannotConnectError(message) from error
    except OSError as error:
        raise asyncpg.ClientCannotConnectError(type(error).__name__) from error


def unify_outages(engine: AsyncEngine) -> None:
    """Have the engine, and each one that shares its pool, raise `OperationalError` for every kind of outage."""
    event.listen(engine.sync_engine, "handle_error", _as_operational_error)


def _as_operational_error(context: ExceptionContext) -> OperationalError | None:
    """The error to raise instead, or None to leave it as it is."""
    error = context.original_exception
    if context.is_pre_ping or not isinstance(error, Exception):
        return None
    if isinstance(error, OSError):
        # No answer came, and what comes later would be taken for the answer to the next statement.
        context.is_disconnect = True
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    if not (context.is_disconnect or sqlstate.startswith(_SQLSTATES)):
        return None
    # Without the statement and what it was given: neither is the cause.
    return OperationalError(None, None, error, hide_parameters=True, connection_invalidated=context.is_disconnect)
