"""Shared by all commands: settings, services and output, with a readable message instead of a traceback."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TextIO, TypeVar

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import DatabaseError

from app.assembly import load_settings, opened
from app.core.database.batches import Batch, foreseen, in_batches
from app.core.database.database import UNAVAILABLE_ERRORS, Database
from app.core.database.migrations import SchemaMismatchError, ServingRoleError
from app.core.errors import Problem
from app.core.logging.lines import wants_colours
from app.core.logging.setup import configure_logging
from app.core.private_files import sqlite_file_problem, sqlite_path
from app.core.services import Services
from app.core.settings.model import Settings
from app.core.settings.report import SettingsError
from app.features.audit.service import AuditTrail

Result = TypeVar("Result")


def settings_or_exit() -> Settings:
    """Load the settings and send the log to stderr; exits with 1 and a readable message if they cannot be used."""
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(str(error))
    configure_logging(settings, stream=sys.stderr)
    return settings


def run_with_services(work: Callable[[Services], Awaitable[Result]], settings: Settings | None = None) -> Result:
    """Run `work` on the services, and record its events; exits with 1 and a message if it raises a `Problem`, too."""
    settings = settings or settings_or_exit()

    async def run() -> Result:
        async with opened(settings) as services, services[AuditTrail].recording():
            return await work(services)

    with database_faults():
        return asyncio.run(run())


@contextmanager
def database_faults() -> Iterator[None]:
    """Exit with 1 and one line of text for a `Problem`, or if the database cannot be used or has another schema."""
    try:
        yield
    except (SchemaMismatchError, ServingRoleError, Problem) as error:
        fail(str(error))
    except (*UNAVAILABLE_ERRORS, DatabaseError) as error:
        cause = getattr(error, "orig", error)
        if not isinstance(error, UNAVAILABLE_ERRORS) and type(cause) is not sqlite3.DatabaseError:
            raise
        fail(why_unusable(cause))


@contextmanager
def file_faults(what: str, state: str) -> Iterator[None]:
    """Exit with a message if the block cannot read or write a file."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        fail(f"{what} ({getattr(error, 'strerror', None) or error}). {state}")


def why_unusable(cause: BaseException | None) -> str:
    """Say why the database cannot be used: the path for SQLite, the kind of error for PostgreSQL."""
    path = sqlite_path(load_settings().database_url)
    if path is not None:
        return f"DATABASE_URL: {sqlite_file_problem(path, migrates=False) or f'{path} cannot be used ({cause})'}."
    # SQLAlchemy wraps asyncpg's errors. The text of other errors may hold a value.
    root = getattr(cause, "__cause__", None) or cause
    if isinstance(root, asyncpg.InsufficientPrivilegeError):
        return (
            f"The role of DATABASE_URL may not do this ({root}). The one that owns the schema migrates, restores and"
            " archives; `manage migrate --serving-role` gives another one what serving needs (docs/deployment.md)."
        )
    kind = str(root) if isinstance(root, asyncpg.ClientCannotConnectError) else type(root).__name__
    return f"The database does not answer ({kind}). Is it running, is DATABASE_URL right, and was `manage migrate` run?"


def say(line: str | bytes, *, colour: str | None = None) -> None:
    """Write a line to standard output; exits with 1 if it is closed or full, or its reader is gone."""
    if sys.stdout is None:
        fail("Standard output cannot be written to: it is closed.")
    try:
        typer.secho(line, fg=colour if wants_colours(sys.stdout) else None)
    except OSError as error:
        _discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(1) from None
        fail(f"Standard output cannot be written to: {error.strerror}.")


def note(line: str, *, colour: str | None = None) -> None:
    """Write a line to standard error, if that is possible."""
    try:
        typer.secho(line, fg=colour if wants_colours(sys.stderr) else None, err=True)
    except OSError:
        _discard(sys.stderr)


def fail(message: str) -> NoReturn:
    """Write the message to standard error, and exit with 1."""
    note(message, colour="red")
    raise typer.Exit(1)


def prepare_streams() -> None:
    """Escape characters that the encoding of a stream does not have, and replace closed streams."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    nowhere = Path(os.devnull)
    sys.stdin = sys.stdin or nowhere.open(encoding="utf-8")
    sys.stderr = sys.stderr or nowhere.open("w", encoding="utf-8")


def _discard(stream: TextIO) -> None:
    """Redirect the stream to nowhere: Python flushes it when it ends, and would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


async def treat_all(services: Services, name: str, batch: Batch) -> int:
    """Treat every row, batch by batch, with a bar on a terminal; returns the number of rows."""
    # Rich leaves colours out if NO_COLOR is set (https://no-color.org), and does not move on a dumb terminal.
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} rows"))
    console, hidden, total = Console(stderr=True), not sys.stderr.isatty(), 0
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(name, total=None)
        async for treated in in_batches(services[Database], batch):
            progress.advance(task, treated)
            total += treated
    return total


async def forecast(services: Services, batch: Batch, *, most: int) -> str:
    """Say how many rows the batch, which treats up to `most`, would treat; empty if there are none."""
    count = await foreseen(services[Database], batch)
    return f"{count} or more" if count == most else str(count or "")
