"""`make bench` works, for whoever believes its figures. How good they are depends on the machine."""

import os
import subprocess
import sys

from tests.support.server import PROJECT


def test_measures_and_judges_every_figure() -> None:
    """Each figure is a line with its measurement, ratio, bound and verdict; the exit code says whether all are kept."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--seconds", "0.2"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert [line[:12] for line in lines] == ["Signed-in GE", "p99 while 64", "Memory meanw", "Sign-ins    "], (
        done.stderr
    )
    missed = any(line.endswith("MISSED") for line in lines)
    assert all(line.endswith(("ok", "MISSED")) for line in lines)
    assert done.returncode == (1 if missed else 0)
