"""`manage migrate`: bring the database schema up to date."""

import asyncio

from app.commands.support import database_faults, say, settings_or_exit
from app.core.database.migrations import upgrade


def migrate() -> None:
    """Bring the database schema up to date. The same as `alembic upgrade head`; safe when several run at once."""
    settings = settings_or_exit()
    with database_faults():
        asyncio.run(upgrade(settings.database_url))
    say("The schema is up to date.")
