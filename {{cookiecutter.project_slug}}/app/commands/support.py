"""What commands share: settings, or a readable message."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from app.core.database import UNAVAILABLE_ERRORS
from app.core.logging import configure_logging
from app.core.migrations import OutdatedSchemaError
from app.core.settings import Settings, SettingsError, load_settings

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
    """Say in words, and exit with 1, where the database does not answer or has another schema."""
    try:
        yield
    except OutdatedSchemaError as error:
        fail(str(error))
    except UNAVAILABLE_ERRORS as error:
        fail(
            f"The database does not answer ({type(error).__name__}). "
            "Is it running, is DATABASE_URL right, and was `manage migrate` run?"
        )


def fail(message: str) -> NoReturn:
    """Say what is wrong, and exit with 1."""
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(FAILED)
