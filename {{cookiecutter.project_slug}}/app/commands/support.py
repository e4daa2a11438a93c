"""What commands share: settings, or a readable message."""

import sys
from typing import NoReturn

import typer

from app.core.logging import configure_logging
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


def fail(message: str) -> NoReturn:
    """Say what is wrong, and exit with 1."""
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(FAILED)
