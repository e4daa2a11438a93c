"""`manage migrate`: bring the database schema up to date."""

import asyncio
from typing import Annotated

import typer

from app.commands.support import database_faults, say, settings_or_exit
from app.core.database.migrations import upgrade

_ServingRole = Annotated[
    str | None,
    typer.Option(help="A role of PostgreSQL that serves: it gets all rights that serving needs, and loses others."),
]


def migrate(*, serving_role: _ServingRole = None) -> None:
    """Bring the database schema up to date. The same as `alembic upgrade head`; safe when several run at once."""
    settings = settings_or_exit()
    with database_faults():
        asyncio.run(upgrade(settings.database_url, serving_role))
    say("The schema is up to date." + (f" {serving_role} may serve." if serving_role else ""))
