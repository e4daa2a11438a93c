"""A machine without a browser and without Node: what cannot run there is said, and where it must run, it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes.server import PROJECT

FILES = ("tests/features/pages/entry/test_fields_in_chromium.py", "tests/features/pages/entry/test_node_client.py")
# A plugin, so that it is there in every worker too.
PLUGIN = "without_programs"
WITHOUT = """
from tests.support.programs import Program

Program.path = lambda program: None
"""


def _run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tests that need a program as on a machine that has none."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "PYTEST", "COVERAGE"))}
    (folder / f"{PLUGIN}.py").write_text(WITHOUT, encoding="utf-8")
    plugins = ["-p", PLUGIN, "-p", "no:cacheprovider", "-W", "ignore", f"--basetemp={folder / 'temp'}"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *options, *FILES],
        cwd=PROJECT,
        env={**inherited, "PYTHONPATH": os.pathsep.join((str(folder), str(PROJECT))), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("workers", ["0", "2"])
def test_says_what_did_not_run(tmp_path: Path, workers: str) -> None:
    """How many tests, and how to have them run, whether there are workers or not."""
    run = _run(tmp_path, "-n", workers)
    assert "tests did not run, for they need a browser" in run.stdout, run.stdout + run.stderr
    assert "apt-get install chromium" in run.stdout
    assert "2 tests did not run, for they need Node" in run.stdout
    assert "failed" not in run.stdout


def test_where_all_tests_must_run_it_fails(tmp_path: Path) -> None:
    """With `CI` set, nothing is left out."""
    run = _run(tmp_path, "-n", "0", "-k", "focus or discovery", CI="true")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "CI is set, so the tests that need a browser must run" in run.stdout
    assert "CI is set, so the tests that need Node must run" in run.stdout
