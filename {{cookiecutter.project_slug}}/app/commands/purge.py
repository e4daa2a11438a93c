"""`manage purge`: delete rows after the retention time of the settings."""

from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from app.assembly import RETENTION_JOBS
from app.commands.support import forecast, run_with_services, say, treat_all
from app.core.clock import utc_now
from app.core.database.batches import purge_of
from app.core.database.database import Database
from app.core.events import UpkeepEvent, emit_event
from app.core.services import Services
from app.core.settings.model import Settings

_LARGEST_FORECAST = 10_000

_DryRun = Annotated[bool, typer.Option("--dry-run", help="Delete nothing, and say how much would be deleted.")]


def purge(*, dry_run: _DryRun = False) -> None:
    """Delete sessions, tokens and mail that are over for more than RETENTION_DAYS.

    Safe while the service runs, when several purge at once, and when it is stopped: run it daily. Home networks of
    accounts stay for RETENTION_ADDRESS_DAYS. Exit code 1 if the database or the settings cannot be used.
    """
    run_with_services(partial(_purge, dry_run=dry_run))


async def _purge(services: Services, *, dry_run: bool) -> None:
    total, before = 0, utc_now() - timedelta(days=services[Settings].retention_days)
    for job in RETENTION_JOBS:
        limit = _LARGEST_FORECAST if dry_run else 500
        batch = purge_of(services[Database], job.table, job.over(services, before), limit)
        if dry_run:
            say(f"{job.name}: {await forecast(services, batch, most=_LARGEST_FORECAST) or 0} to delete")
        else:
            rows = await treat_all(services, job.name, batch)
            say(f"{job.name}: {rows} deleted")
            total += rows
    if not dry_run:
        async with services[Database].transaction():
            emit_event(UpkeepEvent.ROWS_PURGED, outcome="success", rows=total)
