"""`manage purge`: delete what is over for longer than the retention settings say."""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

import typer

from app.assembly import RETENTION_JOBS, opened
from app.commands.progress import counted
from app.commands.support import database_faults, say, settings_or_exit
from app.core.clock import utc_now
from app.core.database.batches import foreseen, in_batches
from app.core.database.database import Database
from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import RetentionJob

_BATCH = 500
_LARGEST_FORECAST = 10_000

_DryRun = Annotated[bool, typer.Option("--dry-run", help="Delete nothing, and say how much would be deleted.")]


def purge(dry_run: _DryRun = False) -> None:  # noqa: FBT002  # an option
    """Delete sessions, tokens and mail that are over for more than RETENTION_DAYS.

    Safe while the service runs, when several purge at once, and when it is stopped: run it daily. Home networks of
    accounts stay for RETENTION_ADDRESS_DAYS. Exit code 1 where the database or the settings cannot be used.
    """
    settings = settings_or_exit()
    with database_faults():
        asyncio.run(_purge(settings, dry_run=dry_run))


async def _purge(settings: Settings, *, dry_run: bool) -> None:
    async with opened(settings) as services:
        for job in RETENTION_JOBS:
            say(await _forecast(job, services) if dry_run else await _delete(job, services))


async def _delete(job: RetentionJob, services: Services) -> str:
    batch = partial(job.service(services).purge, before=_before(services[Settings]), limit=_BATCH)
    deleted = 0
    with counted(job.name) as advance:
        async for size in in_batches(services[Database], batch):
            advance(size)
            deleted += size
    return f"{job.name}: {deleted} deleted"


async def _forecast(job: RetentionJob, services: Services) -> str:
    batch = partial(job.service(services).purge, before=_before(services[Settings]), limit=_LARGEST_FORECAST)
    count = await foreseen(services[Database], batch)
    return f"{job.name}: {count}{' or more' if count == _LARGEST_FORECAST else ''} to delete"


def _before(settings: Settings) -> datetime:
    return utc_now() - timedelta(days=settings.retention_days)
