"""Work in batches, with its progress on standard error: a bar on a terminal, otherwise a line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.commands.support import note
from app.core.database.batches import Batch, foreseen, in_batches
from app.core.database.database import Database
from app.core.services import Services

Advance = Callable[[int], None]

_SECONDS_BETWEEN_LINES = 5.0


async def treat_all(services: Services, name: str, batch: Batch) -> int:
    """Treat every row, batch by batch, and show the progress; returns the number of rows."""
    total = 0
    with counted(name) as advance:
        async for treated in in_batches(services[Database], batch):
            advance(treated)
            total += treated
    return total


async def forecast(services: Services, batch: Batch, *, most: int) -> str:
    """Say how many rows the batch, which treats up to `most`, would treat; empty if there are none."""
    count = await foreseen(services[Database], batch)
    return f"{count} or more" if count == most else str(count or "")


@contextmanager
def counted(name: str, *, every: float = _SECONDS_BETWEEN_LINES) -> Iterator[Advance]:
    """Show how many rows were treated; the block calls the function it gets with the size of each batch."""
    if not sys.stderr.isatty():
        yield _lines(name, every)
        return
    # Rich leaves colours out if NO_COLOR is set (https://no-color.org), and does not move on a dumb terminal.
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} rows"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        yield partial(progress.advance, progress.add_task(name, total=None))


def _lines(name: str, every: float) -> Advance:
    count, due = 0, time.monotonic() + every

    def advance(size: int) -> None:
        nonlocal count, due
        count += size
        if time.monotonic() >= due:
            note(f"{name}: {count} rows so far")
            due = time.monotonic() + every

    return advance
