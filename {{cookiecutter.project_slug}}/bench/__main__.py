"""`make bench`: ratios, each of two measurements in one run. Exit code 1 if one misses its bound."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from bench.figures import measure
from bench.report import write
from bench.servers import POSTGRESQL, PROJECT, SQLITE

_ENDED = 128 + signal.SIGTERM


def _end(*_: object) -> None:
    """End at SIGTERM, with the servers: by a cancellation, for uvloop keeps an exception of its callbacks to itself."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        sys.exit(_ENDED)
    for task in asyncio.all_tasks(loop):
        loop.call_soon_threadsafe(task.cancel)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the service in ratios.")
    parser.add_argument("--seconds", type=float, default=3, help="how long each measurement takes (default: 3)")
    parser.add_argument("--rounds", type=int, default=5, help="how often what is compared takes turns (default: 5)")
    parser.add_argument("--database", choices=(SQLITE, POSTGRESQL), action="append", help="one of them (default: both)")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=PROJECT,
        metavar="FOLDER",
        help="write table and chart into README.md and docs/performance.svg, of this project by default",
    )
    arguments = parser.parse_args()
    if arguments.seconds <= 0 or arguments.rounds < 1:
        parser.error("--seconds and --rounds must be above zero")
    signal.signal(signal.SIGTERM, _end)
    figures = []
    try:
        for database in arguments.database or (SQLITE, POSTGRESQL):
            for figure in measure(database, arguments.seconds, arguments.rounds):
                print(figure, flush=True)
                figures.append(figure)
    except asyncio.CancelledError:
        return _ENDED
    if arguments.write is not None:
        write(arguments.write, figures)
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
