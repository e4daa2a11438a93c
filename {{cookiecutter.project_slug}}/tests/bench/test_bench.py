"""`make bench` works, for whoever believes its figures. How good they are depends on the machine."""

import os
import subprocess
import sys

import pytest

from bench.__main__ import main
from tests.support.server import PROJECT


@pytest.mark.timeout(300)
def test_measures_and_judges_every_figure() -> None:
    """Each figure is a line with its measurement, ratio, bound and verdict; the exit code says whether all are kept."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--seconds", "0.1", "--rounds", "1"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert [line[:12] for line in lines] == [
        "Signed-in GE",
        "GET /livez, ",
        "p99 while 64",
        "Memory meanw",
        "Sign-ins    ",
    ], done.stderr
    missed = any(line.endswith("MISSED") for line in lines)
    assert all(line.endswith(("ok", "MISSED")) for line in lines)
    assert done.returncode == (1 if missed else 0)


@pytest.mark.parametrize("option", ["--seconds", "--rounds"])
def test_refuses_to_measure_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """It says what is wrong, before it starts a server."""
    monkeypatch.setattr(sys, "argv", ["bench", option, "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--seconds and --rounds must be above zero" in capsys.readouterr().err
