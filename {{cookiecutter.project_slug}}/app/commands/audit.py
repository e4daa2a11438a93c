"""`manage audit`: verify, export and archive the audit trail."""

import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from app.commands.support import fail, run_with_services, say
from app.core.errors import Problem
from app.core.services import Services
from app.features.audit.schemas import Moment
from app.features.audit.service import Anchor, AuditTrail, Filters, Report

audit = typer.Typer(help="Prove that the audit trail is whole, and take it elsewhere.", no_args_is_help=True)

_EXAMPLE = "Example: 2026-01-31T12:00:00Z"

_Since = Annotated[str | None, typer.Option(help=f"Only from this time on. {_EXAMPLE}")]
_Until = Annotated[str | None, typer.Option(help=f"Only before this time. {_EXAMPLE}")]
_Before = Annotated[str, typer.Option(help=f"Only rows from before this time. {_EXAMPLE}")]


@audit.command()
def verify(
    archives: Annotated[
        list[Path] | None,
        typer.Argument(help="Files that `archive` made, the oldest first: they are read before the rest."),
    ] = None,
    expect_at_least: Annotated[
        str | None,
        typer.Option(metavar="N/HASH[,…]", help="What an earlier run printed: these rows must be there, as they were."),
    ] = None,
) -> None:
    """Verify every row. Exit code 1 and the place of the first that was changed, removed or added."""
    try:
        anchor = Anchor.parse(expect_at_least) if expect_at_least else None
    except ValueError:
        fail("--expect-at-least is not of the form N/HASH,N/HASH…, which an earlier run printed.")
    report = run_with_services(partial(_verify, anchor=anchor, archives=archives or []))
    _require_whole(report)
    say(f"{report.rows} rows, none of them changed, removed or added.")
    if report.unread:
        say(f"{report.unread} rows before them are archived, and were not read: name their files to have them read.")
    if report.anchor is not None:
        say(f"Keep this where the database's administrators cannot write: {report.anchor}")


@audit.command()
def export(since: _Since = None, until: _Until = None) -> None:
    """Write the trail to standard output, oldest first, one JSON object on each line."""
    filters = Filters(
        since=_moment("--since", since) if since else None, until=_moment("--until", until) if until else None
    )

    async def write(services: Services) -> None:
        async for line in services[AuditTrail].export(filters):
            say(line.rstrip())

    run_with_services(write)


@audit.command()
def archive(file: Annotated[Path, typer.Argument(help="The file to make.")], before: _Before) -> None:
    """Verify the trail, and move its oldest rows to a file, which `verify` can read."""
    count = run_with_services(partial(_archive, file=file, before=_moment("--before", before)))
    if count:
        say(f"{count} rows are in {file}, and no longer in the database. Keep it: nothing else holds them.")
    else:
        say("There is nothing to archive.")


def _require_whole(report: Report) -> None:
    if report.flaw is not None:
        fail(f"{report.flaw} {report.rows} rows before it are in order.")


async def _archive(services: Services, *, file: Path, before: datetime) -> int:
    trail = services[AuditTrail]
    verification = trail.verification(unfinished=True)
    _require_whole(await verification.run())
    begin = verification.archived
    try:
        end = await trail.archive(begin, before, file)
    except OSError as error:
        fail(f"{file} cannot be written ({type(error).__name__}: {error.strerror or error}). Nothing was removed.")
    except Problem as problem:
        fail(f"{problem.detail} Nothing was removed: remove {file}, and try again.")
    await trail.remove_archived(end)
    return end.rows - begin.rows


async def _verify(services: Services, *, anchor: Anchor | None, archives: Sequence[Path]) -> Report:
    verification = services[AuditTrail].verification(anchor, archives)
    try:
        rows = await verification.begin()
    except (OSError, ValueError) as error:
        fail(f"An archive cannot be read: {error}.")
    with typer.progressbar(length=rows, label="Verifying", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        return await verification.run(bar.update)


def _moment(option: str, text: str) -> datetime:
    try:
        moment: datetime = TypeAdapter(Moment).validate_python(text)
    except ValidationError:
        fail(f"{option} must be an RFC 3339 time with its zone. {_EXAMPLE}")
    return moment
