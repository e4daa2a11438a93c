"""`make bench`: how long the default project takes to render, hooks and all, in this process.

Into memory where the system has a folder for that: it is the template that is measured, and not the disk.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.memory import memory_folder
from scripts.trees import render

ROUNDS = 20
MOST_SECONDS = 0.15
MEBIBYTE = 1024 * 1024


def measure(rounds: int) -> list[float]:
    """Seconds of each of several renderings, after one that warms up."""
    seconds = []
    with tempfile.TemporaryDirectory(dir=memory_folder(free=512 * MEBIBYTE)) as folder:
        for number in range(rounds + 1):
            place = Path(folder) / str(number)
            place.mkdir()
            begin = time.perf_counter()
            render({}, place)
            if number:
                seconds.append(time.perf_counter() - begin)
    return seconds


def main() -> int:
    """Print the median; 1 where it is over the limit."""
    standard_output = os.dup(1)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)  # the hooks speak to the terminal, in processes of their own
    try:
        seconds = measure(ROUNDS)
    finally:
        os.dup2(standard_output, 1)
    median = statistics.median(seconds)
    print(f"A bake takes {median:.3f} s (median of {ROUNDS}; slowest {max(seconds):.3f} s; at most {MOST_SECONDS} s).")
    return 1 if median > MOST_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
