"""What commands share: settings, or a readable message."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import asyncpg
import typer
from sqlalchemy.exc import DatabaseError

from app.core.database import UNAVAILABLE_ERRORS
from app.core.logging import configure_logging
from app.core.migrations import OutdatedSchemaError
from app.core.settings import Settings, SettingsError, load_settings
from app.core.sqlite_file import sqlite_file_problem, sqlite_path

FAILED = 1


def settings_or_exit() -> Settings:
    """Load the settings and send the log to stderr; exits with 1 and a readable message where they cannot be used."""
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(str(error))
    configure_logging(settings, stream=sys.stderr)
    return settings


@contextmanager
def database_faults() -> Iterator[None]:
    """Exit with 1 and one line of text if the database cannot be used or has another schema."""
    try:
        yield
    except OutdatedSchemaError as error:
        fail(str(error))
    except (*UNAVAILABLE_ERRORS, DatabaseError) as error:
        cause = getattr(error, "orig", None)
        if not isinstance(error, UNAVAILABLE_ERRORS) and type(cause) is not sqlite3.DatabaseError:
            raise
        fail(_why_unusable(cause))


def _why_unusable(cause: BaseException | None) -> str:
    """Why the database cannot be used: the path for SQLite, the kind of error for PostgreSQL."""
    path = sqlite_path(load_settings().database_url)
    if path is not None:
        return f"DATABASE_URL: {sqlite_file_problem(path, migrates=False) or f'{path} cannot be used ({cause})'}."
    # SQLAlchemy wraps asyncpg's errors. The text of others than ours may hold a value.
    root = getattr(cause, "__cause__", None) or cause
    kind = str(root) if isinstance(root, asyncpg.ClientCannotConnectError) else type(root).__name__
    return f"The database does not answer ({kind}). Is it running, is DATABASE_URL right, and was `manage migrate` run?"


def fail(message: str) -> NoReturn:
    """Say what is wrong, and exit with 1."""
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(FAILED)
