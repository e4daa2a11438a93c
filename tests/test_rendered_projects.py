"""Rendered projects: each passes its own checks and tests, on every Python of this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import bake_into
from tests.pythons import further_pythons

PYTHONS = further_pythons()


def make(project: Path, *targets: str, python: str | None = None) -> None:
    """Run make in a project as its user does: without the environment of this template."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}
    }
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    if python is not None:
        environment["UV_PYTHON"] = python
    done = subprocess.run(
        ["make", *targets],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]


@pytest.mark.rendered
def test_the_default_project_passes_its_own_check(tmp_path: Path) -> None:
    """Format, lint, types, import contracts, every test with its coverage; and nothing of it changes a tracked file."""
    project = bake_into(tmp_path, {}).project
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    subprocess.run(["git", "add", "--all"], cwd=project, check=True)
    make(project, "check")
    changed = subprocess.run(["git", "diff", "--name-only"], cwd=project, check=True, capture_output=True, text=True)
    assert changed.stdout == ""


@pytest.mark.more
@pytest.mark.parametrize(
    "answers",
    [
        {"database": "postgresql", "license": "Proprietary", "browser_pages": "no", "sample_vault": "no"},
        {"browser_pages": "no"},
        {"sample_vault": "no"},
    ],
    ids=["smallest", "without pages", "without vault"],
)
def test_what_was_left_out_is_not_missed(tmp_path: Path, answers: dict[str, str]) -> None:
    """Each option stands without the other, and an empty house by itself, on PostgreSQL as on SQLite."""
    make(bake_into(tmp_path, answers).project, "check")


@pytest.mark.more
def test_the_default_project_passes_on_postgresql(tmp_path: Path) -> None:
    """The code is the same for both databases, and so is what it does."""
    make(bake_into(tmp_path, {}).project, "test-postgres")


@pytest.mark.more
@pytest.mark.parametrize("version", PYTHONS)
def test_the_default_project_passes_on_another_python(tmp_path: Path, version: str) -> None:
    """Every version of Python of this machine that the project is for passes its tests."""
    make(bake_into(tmp_path, {}).project, "test", python=PYTHONS[version])
