"""What the tests of the template share: rendering, once for each option set where nothing is changed."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SLUG = "my-secure-api"
LICENSES = ("MIT", "Apache-2.0", "BSD-3-Clause", "Proprietary")
DATABASES = ("sqlite", "postgresql")
COMBINATIONS = tuple(itertools.product(LICENSES, DATABASES))


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
    place: Path, answers: dict[str, str], *options: str, environment: dict[str, str] | None = None, stdin: str = ""
) -> Baked:
    """Run Cookiecutter as a user does: as a program, with a home and a folder of its own."""
    home, folder, temporary = place / "home", place / "out", place / "tmp"
    for path in (home, folder, temporary):
        path.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cookiecutter", "-o", str(folder), *(options or ["--no-input"]), str(ROOT)]
    done = subprocess.run(
        [*command, *(f"{key}={value}" for key, value in answers.items())],
        cwd=place,
        env={
            **os.environ,
            "HOME": str(home),
            "USERPROFILE": str(home),
            "TMPDIR": str(temporary),
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **(environment or {}),
        },
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return Baked(folder, home, done.returncode, done.stdout + done.stderr)


@pytest.fixture
def bake(tmp_path: Path) -> Bake:
    """Render with some answers, into a place of its own."""
    numbers = itertools.count()

    def run(*options: str, environment: dict[str, str] | None = None, stdin: str = "", **answers: str) -> Baked:
        place = tmp_path / f"bake-{next(numbers)}"
        return bake_into(place, answers, *options, environment=environment, stdin=stdin)

    return run


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Baked]:
    """Every combination of choices, rendered once; for tests that change nothing."""
    place = tmp_path_factory.mktemp("combinations")
    return {
        (license_name, database): bake_into(
            place / f"{license_name}-{database}", {"license": license_name, "database": database}
        )
        for license_name, database in COMBINATIONS
    }


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def baked(request: pytest.FixtureRequest, projects: dict[tuple[str, str], Baked]) -> Baked:
    """Each combination in turn."""
    combination: tuple[str, str] = request.param
    return projects[combination]


@pytest.fixture
def default(projects: dict[tuple[str, str], Baked]) -> Baked:
    """What a user gets who only presses Enter."""
    return projects["MIT", "sqlite"]
