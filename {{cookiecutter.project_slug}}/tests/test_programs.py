"""Programs that tests need: what is left out without them is said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes.server import PROJECT

pytestmark = pytest.mark.same_on_every_database

CONFTEST = """
import pytest
from tests.support.programs import PROGRAMS, Program

PROGRAMS["nothing"] = Program("Nothing", ("no-such-program", "/opt/no-such-program"), "no-such-package")

@pytest.fixture
def nothing():
    return PROGRAMS["nothing"].required_path()
"""
TESTS = """
def test_needs_it(nothing):
    assert nothing

def test_needs_nothing():
    assert True
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_folder_of_tests_names_a_program_of_its_own(tmp_path: Path, workers: str) -> None:
    """With workers it is they alone who know of it, and the summary comes from the process that started them."""
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "PYTEST", "COVERAGE"))}
    plugins = ["-p", "tests.support.programs", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "-n", workers, *plugins],
        cwd=tmp_path,
        env={**inherited, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    need = "Nothing as no-such-program (Debian: apt-get install no-such-package)"
    assert f"1 tests did not run, for they need {need}." in run.stdout, run.stdout + run.stderr
    assert run.returncode == 0
