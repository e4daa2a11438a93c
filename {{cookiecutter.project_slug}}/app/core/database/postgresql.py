"""Engines for PostgreSQL, reached directly or through PgBouncer (`?pgbouncer=true` in `DATABASE_URL`).

PgBouncer refuses most start-up parameters, and gives the server's connection to another client after each transaction,
so that settings and prepared statements are lost. Behind it statements have no name, and each transaction sets limits.
"""

import ssl
from collections.abc import Mapping
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.database.errors import unify_outages
from app.core.settings.database_url import connect_arguments

POOLER_OPTION = "pgbouncer"

_CONNECT_SECONDS = 10
# Asks asyncpg and SQLAlchemy for statements without a name, each of which is parsed in the message that runs it.
_NO_NAMES = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}


def postgresql_engine(
    dsn: str, *, application: str, limits: Mapping[str, str], answer_seconds: float | None = None, **options: Any
) -> AsyncEngine:
    """Make an engine whose connections have the name `application` and the `limits`, which are server settings.

    `answer_seconds` limits the wait for a server that does not answer.
    """
    url = make_url(dsn)
    pooled = url.query.get(POOLER_OPTION) == "true"
    # PgBouncer follows these two from connection to connection.
    settings = {"application_name": application, "timezone": "UTC"}
    connect_args: dict[str, Any] = {
        "async_creator_fn": _connect,
        "timeout": _CONNECT_SECONDS,
        "command_timeout": answer_seconds,
        "server_settings": settings if pooled else {**settings, **limits},
        **(_NO_NAMES if pooled else {}),
    }
    engine = create_async_engine(
        url.difference_update_query([POOLER_OPTION]), hide_parameters=True, connect_args=connect_args, **options
    )
    unify_outages(engine)
    if pooled and limits and options.get("isolation_level") != "AUTOCOMMIT":
        # In effect until the transaction ends.
        calls = ", ".join(f"set_config('{name}', '{limit}', true)" for name, limit in limits.items())
        event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(f"SELECT {calls}"))
    return engine


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
        raise asyncpg.ClientCannotConnectError(
            f"this is PgBouncer: add ?{POOLER_OPTION}=true to DATABASE_URL"
        ) from error
