"""Engines for PostgreSQL, reached directly or through PgBouncer (`?pgbouncer=true` in `DATABASE_URL`).

PgBouncer refuses most start-up parameters, and gives the server's connection to another client after each transaction,
so that settings and prepared statements are lost. Behind it statements have no name, and each transaction sets limits.

Whatever a driver raises for a database that cannot work now becomes SQLAlchemy's `OperationalError`, as SQLite's driver
does (PEP 249). asyncpg raises its own classes, or the operating system's errors; SQLSTATE tells them apart
(https://www.postgresql.org/docs/current/errcodes-appendix.html). The answer is a 503 (ASVS 16.5.2).
"""

import ssl
from collections.abc import Mapping
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import InvalidatePoolError, OperationalError, TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from starlette.types import Scope

from app.core.errors import Unavailable, answer_with
from app.core.settings.database_url import POOLER, connect_arguments

# What a transaction raises when the database cannot be reached, is overloaded or does not answer in time. The driver's
# own come from a connection that ends while SQLAlchemy prepares it for its first use; later, it makes its own classes.
_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
UNAVAILABLE_ERRORS = (OperationalError, PoolTimeoutError, *_DRIVER_ERRORS)

# Connections (08), a server that takes no writes (25006) or ended an idle transaction (25P03), credentials (28) and the
# name of the database (3D), serialization and deadlock (40), resources (53), a lock that is held (55P03), shutdown and
# cancellation, the statement timeout among it (57), input and output (58), a right that the role has not (42501).
_SQLSTATES = ("08", "25006", "25P03", "28", "3D000", "40", "42501", "53", "55P03", "57", "58")

# The key in `info` of a connection that has been used.
_USED = "used"

_log = structlog.get_logger("app")


def install_outage_handlers(app: FastAPI) -> None:
    """Answer 503 for the errors of a database that cannot be reached."""

    def on_outage(error: Exception, _: Scope) -> Unavailable:
        _log.error("database_unavailable", error=type(error).__name__, exc_info=error)
        return Unavailable("The database does not answer.", retry_after=5)

    for kind in UNAVAILABLE_ERRORS:
        answer_with(app, kind, on_outage)


class StaleStatementError(OperationalError):
    """The schema has changed since the statement was prepared. It did not run; the next attempt prepares it anew."""


def _as_operational_error(context: ExceptionContext) -> OperationalError | None:
    """Return the error to raise instead, or None to leave it as it is."""
    error = context.original_exception
    if context.is_pre_ping or not isinstance(error, Exception):
        return None
    if isinstance(error, (OSError, asyncpg.InternalClientError)):
        # No answer came, and one that comes later would be taken for that to the next statement; or it had ended.
        context.is_disconnect = True
    if isinstance(error.__cause__, asyncpg.InvalidCachedStatementError):
        return StaleStatementError(None, None, error, hide_parameters=True)
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    if not (context.is_disconnect or sqlstate.startswith(_SQLSTATES)):
        return None
    # Without the statement and its parameters: neither is the cause.
    return OperationalError(None, None, error, hide_parameters=True, connection_invalidated=context.is_disconnect)


def postgresql_engine(
    dsn: str, *, application: str, limits: Mapping[str, str], answer_seconds: float | None = None, **options: Any
) -> AsyncEngine:
    """Make an engine whose connections have the name `application` and the `limits`, which are server settings.

    `answer_seconds` limits the wait for a server that does not answer.
    """
    url = make_url(dsn)
    pooled = url.query.get(POOLER) == "true"
    # PgBouncer follows these two from connection to connection.
    settings = {"application_name": application, "timezone": "UTC"}
    connect_args: dict[str, Any] = {
        "async_creator_fn": _connect,
        "timeout": 4,
        "command_timeout": answer_seconds,
        "server_settings": settings if pooled else {**settings, **limits},
    }
    if pooled:  # asyncpg and SQLAlchemy: statements without a name, each parsed in the message that runs it
        connect_args |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    engine = create_async_engine(
        url.difference_update_query([POOLER]), hide_parameters=True, connect_args=connect_args, **options
    )
    event.listen(engine.sync_engine, "handle_error", _as_operational_error)
    event.listen(engine.sync_engine, "checkout", _ping)
    if pooled and limits and options.get("isolation_level") != "AUTOCOMMIT":
        # In effect until the transaction ends.
        calls = ", ".join(f"set_config('{name}', '{limit}', true)" for name, limit in limits.items())
        event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(f"SELECT {calls}"))
    return engine


def _ping(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
    """See that a connection of the pool answers; SQLAlchemy's `pool_pre_ping` takes three round trips, and any time."""
    if not record.info.get(_USED):
        # Made just now. A second one that fails here would be an error of the caller's to SQLAlchemy, and no outage.
        record.info[_USED] = True
        return
    try:
        connection.run_async(lambda driver: driver.execute("SELECT 1", timeout=2))
    except (OSError, *_DRIVER_ERRORS) as error:
        raise InvalidatePoolError from error


async def _connect(*arguments: Any, **options: Any) -> asyncpg.Connection:
    """Connect with asyncpg, with the options of a `DATABASE_URL`; an `OSError` becomes an error with an SQLSTATE."""
    try:
        return await asyncpg.connect(*arguments, **connect_arguments(options))
    except ssl.SSLCertVerificationError as error:
        raise asyncpg.ClientCannotConnectError(
            "the server's certificate is for another host, or of an authority that sslrootcert does not hold"
        ) from error
    except OSError as error:
        raise asyncpg.ClientCannotConnectError(type(error).__name__) from error
    except asyncpg.ProtocolViolationError as error:
        if "startup parameter" not in str(error):
            raise
        raise asyncpg.ClientCannotConnectError("this is PgBouncer: add ?pgbouncer=true to DATABASE_URL") from error
