"""Rendering as a user does, by the command line, with a home of its own; for tests that look at what is left behind."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.baked import ROOT

SLUG = "my-secure-api"


@dataclass(frozen=True)
class Baked:
    """What one run of Cookiecutter left behind: in its output folder, its home, and on the terminal."""

    folder: Path
    home: Path
    exit_code: int
    terminal: str

    @property
    def project(self) -> Path:
        """The one project in the output folder."""
        (project,) = (path for path in self.folder.iterdir() if path.is_dir())
        return project

    @property
    def is_empty(self) -> bool:
        """Whether nothing was left in the output folder."""
        return not any(self.folder.iterdir())


Bake = Callable[..., Baked]


def bake_into(
    place: Path,
    answers: dict[str, str],
    *options: str,
    environment: dict[str, str] | None = None,
    stdin: str = "",
    template: Path = ROOT,
) -> Baked:
    """Run Cookiecutter as a user does: as a program, with a home and a folder of its own."""
    home, folder, temporary = place / "home", place / "out", place / "tmp"
    for path in (home, folder, temporary):
        path.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cookiecutter", "-o", str(folder), *(options or ["--no-input"]), str(template)]
    done = subprocess.run(
        [*command, *(f"{key}={value}" for key, value in answers.items())],
        cwd=place,
        env={
            **os.environ,
            "HOME": str(home),
            "USERPROFILE": str(home),
            "TMPDIR": str(temporary),
            "NO_COLOR": "1",
            **(environment or {}),
        },
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        check=False,
        start_new_session=True,  # a test may kill all of it
    )
    return Baked(folder, home, done.returncode, done.stdout + done.stderr)


@pytest.fixture
def bake_cli(tmp_path: Path) -> Bake:
    """Render with some answers, into a place of its own."""
    numbers = itertools.count()

    def run(*options: str, environment: dict[str, str] | None = None, stdin: str = "", **answers: str) -> Baked:
        place = tmp_path / f"bake-{next(numbers)}"
        return bake_into(place, answers, *options, environment=environment, stdin=stdin)

    return run


@pytest.fixture(scope="session")
def default(tmp_path_factory: pytest.TempPathFactory) -> Baked:
    """What a user gets who only presses Enter; for tests that change nothing."""
    return bake_into(tmp_path_factory.mktemp("default"), {})
