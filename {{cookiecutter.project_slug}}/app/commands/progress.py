"""How far a long command is, on standard error: a bar on a terminal, now and then a line everywhere else."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.commands.support import note

Advance = Callable[[int], None]

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def counted(name: str, *, every: float = _SECONDS_BETWEEN_LINES) -> Iterator[Advance]:
    """Show how many rows were treated; the block is given what to call with the size of each batch."""
    if not sys.stderr.isatty():
        yield _Lines(name, every)
        return
    # Rich leaves colours out where NO_COLOR is set (https://no-color.org), and does not move on a dumb terminal.
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} rows"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=None)
        yield lambda size: progress.advance(task, size)


class _Lines:
    def __init__(self, name: str, every: float) -> None:
        self._name = name
        self._every = every
        self._count = 0
        self._due = time.monotonic() + every

    def __call__(self, size: int) -> None:
        self._count += size
        if time.monotonic() >= self._due:
            note(f"{self._name}: {self._count} rows so far")
            self._due = time.monotonic() + self._every
