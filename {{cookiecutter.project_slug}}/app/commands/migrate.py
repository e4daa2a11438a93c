"""`manage migrate`: bring the database schema up to date."""

import asyncio

import typer

from app.commands.support import fail, settings_or_exit
from app.core.database import UNAVAILABLE_ERRORS
from app.core.migrations import upgrade


def migrate() -> None:
    """Bring the database schema up to date. The same as `alembic upgrade head`; safe when several run at once."""
    settings = settings_or_exit()
    try:
        asyncio.run(upgrade(settings.database_url))
    except UNAVAILABLE_ERRORS as error:
        fail(f"The database does not answer ({type(error).__name__}). Is it running, and is DATABASE_URL right?")
    typer.echo("The schema is up to date.")
