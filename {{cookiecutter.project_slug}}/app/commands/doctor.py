"""`manage doctor`: how the service stands, on one screen. No secret is shown, and each look is bounded in time."""

import asyncio
import platform
import shutil
from collections.abc import Awaitable
from importlib.metadata import version
from pathlib import Path

import typer
from sqlalchemy import text

from app.assembly import make_services
from app.commands.support import say, settings_or_exit, why_unusable
from app.core.clock import utc_now
from app.core.database.database import Database, UtcDateTime
from app.core.database.migrations import SchemaMismatchError, require_current
from app.core.errors import Problem
from app.core.events import UpkeepEvent
from app.core.limits import Limiter
from app.core.mail.delivery import MailDelivery
from app.core.mail.transport import DeliveryError, FolderTransport, mail_transport
from app.core.private_files import sqlite_path
from app.core.services import Services
from app.core.settings.model import Settings, source_of
from app.features.audit.service import AuditTrail

_SECONDS = 5
_MEBIBYTE = 1024 * 1024
_LEAST_FREE_MEBIBYTES = 512
_MOST_CLOCK_SECONDS = 10
_OF_SQLITE = "SELECT sqlite_version()", "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
_OF_POSTGRESQL = "SHOW server_version", "SELECT pg_database_size(current_database())"


def doctor() -> None:
    """Show the settings with their source, and look at all that the service depends on. Exit code 1 if one is ill."""
    settings = settings_or_exit()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        # Only `str` shows no secret: a tuple would show what it holds by `repr`.
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str("" if value is None else value)
        say(f"{name.upper():<26} {shown or 'not set'}  [{source_of(name) or 'default'}]")
    say("")
    if not asyncio.run(_examine(settings)):
        raise typer.Exit(1)


async def _examine(settings: Settings) -> bool:
    async with make_services(settings) as services:
        found = await asyncio.gather(*(_look(probe(services)) for probe in _PROBES))
    for probe, (well, what) in zip(_PROBES, found, strict=True):
        name = probe.__name__.strip("_").replace("_", " ")
        say(f"{'ok ' if well else 'ILL'} {name:<12} {what}", colour="green" if well else "red")
    return all(well for well, _ in found)


async def _look(probe: Awaitable[str]) -> tuple[bool, str]:
    """Return whether it is well, and words without a value of a stranger's: texts of other errors may hold one."""
    try:
        async with asyncio.timeout(_SECONDS):
            return True, await probe
    except TimeoutError:
        return False, f"no answer within {_SECONDS} seconds"
    except (DeliveryError, SchemaMismatchError, Problem) as error:
        return False, str(error)
    except Exception as error:
        return False, why_unusable(error.orig) if hasattr(error, "orig") else type(error).__name__


async def _database(services: Services) -> str:
    path = sqlite_path(services[Settings].database_url)
    version_of, size_of = _OF_SQLITE if path else _OF_POSTGRESQL
    async with services[Database].read() as db:
        found, size = await db.scalar(text(version_of)), await db.scalar(text(size_of))
        there = utc_now() if path else await db.scalar(text("SELECT clock_timestamp() AS now").columns(now=UtcDateTime))
    apart = abs((there - utc_now()).total_seconds())
    await services[Database].ping()
    await require_current(services[Database])
    if apart > _MOST_CLOCK_SECONDS:
        raise Problem(f"its clock is {apart:.0f} seconds from that of this machine")
    measured = f"{'SQLite' if path else 'PostgreSQL'} {found}, {size / _MEBIBYTE:.1f} MiB"
    return f"{measured}, takes writes, schema of this version, clock {apart:.1f} s apart"


async def _counters(services: Services) -> str:
    await services[Limiter].ping()
    return "Valkey or Redis counts" if services[Settings].redis_url else "of each process (no REDIS_URL)"


async def _mail_server(services: Services) -> str:
    transport = mail_transport(services[Settings])
    if isinstance(transport, FolderTransport):
        return "none: files in var/mail (no SMTP_URL)"
    async with transport.connected():
        return "takes our sign-in"


async def _disk(services: Services) -> str:
    path = sqlite_path(services[Settings].database_url)
    free = shutil.disk_usage(path.parent if path else Path.cwd()).free / _MEBIBYTE
    if free < _LEAST_FREE_MEBIBYTES:
        raise Problem(f"only {free:.0f} MiB free")
    return f"{free:.0f} MiB free"


async def _upkeep(services: Services) -> str:
    trail, mails = services[AuditTrail], await services[MailDelivery].queue.standing()
    rows = [await trail.latest(event) for event in (UpkeepEvent.BACKUP_MADE, UpkeepEvent.ROWS_PURGED)]
    backup, purge = (f"{row.created_at:%Y-%m-%d %H:%M} UTC" if row else "never" for row in rows)
    counts = f"about {await trail.count()} rows in the audit trail, {mails.waiting} mails wait, {mails.failed} failed"
    return f"last backup {backup}, last purge {purge}, {counts}"


async def _versions(_: Services) -> str:
    packages = (f"{name} {version(name)}" for name in ("fastapi", "sqlalchemy", "uvicorn", "cryptography"))
    return ", ".join([f"Python {platform.python_version()}", *packages])


_PROBES = (_database, _counters, _mail_server, _disk, _upkeep, _versions)  # shown under the names that they have here
