"""A project that its owner has worked in, and rendering over it, as `cookiecutter -f` does."""

import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli import SLUG, Baked, bake_into

BEFORE = ".before-update"
OWN_MIGRATION = "migrations/versions/mine.py"
OWN_FILES = {
    "app/mine.py": "MINE = 1\n",
    "app/.hidden": "",
    "app/features/mine/__init__.py": "",
    "app/features/mine/deep/er/Größe und Maß.txt": "42\n",
    "app/features/vault/mine.py": "VAULT = 1\n",
    "app/features/pages/kit/templates/mine.html": "<p>{{ mine }}</p>\n",
    "bench/mine.py": "",
    "docs/my notes.md": "Mine.\n",
    OWN_MIGRATION: 'revision: str = "mine"\ndown_revision: str | None = "0008"\n',
    "tests/features/mine/test_mine.py": "def test_mine(): ...\n",
    "notes/mine.txt": "Mine.\n",
}
# Of the template's files beside its folders, they have changed one, and two are links to what is elsewhere.
OWN_SKIN = ("LICENSE", "README.md", "pyproject.toml")
ELSEWHERE = {"file.txt": "elsewhere\n", "license.txt": "All rights reserved.\n"}
OPTIONS_OFF = {"browser_pages": "no", "sample_vault": "no", "api_keys": "no"}

# It is imported by every Python that starts, and counts what it does: moves, copies, removals.
STOPPER = """
import os, signal, sys

event, text, number, how = os.environ["STOP_AT"].split("|")
seen = 0

def stop(name, arguments):
    global seen
    if name != event or text not in repr(arguments).replace(chr(92) * 2, "/"):
        return
    seen += 1
    if seen == int(number) and how == "refuse":
        raise PermissionError(13, "Permission denied", str(arguments[0]))
    if seen == int(number):
        os.killpg(0, signal.SIGKILL)

sys.addaudithook(stop)
"""


class Thing(NamedTuple):
    """A file, folder or link: its kind and mode, and what is in it."""

    mode: int
    content: bytes | str


def look(path: Path) -> Thing:
    """What something is, without following it."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return Thing(mode, str(path.readlink()))
    return Thing(mode, b"" if stat.S_ISDIR(mode) else path.read_bytes())


def everything(project: Path) -> dict[str, Thing]:
    """Everything in a project, by its POSIX path."""
    return {path.relative_to(project).as_posix(): look(path) for path in project.rglob("*")}


@pytest.fixture(scope="module")
def fresh(default: Baked) -> dict[str, Thing]:
    """Everything in a new project."""
    return everything(default.project)


@pytest.fixture
def project(default: Baked, tmp_path: Path) -> Path:
    """A project that its owner has worked in: with files of their own, and changes of the template's."""
    shutil.copytree(default.folder, tmp_path / "out", symlinks=True)
    project = tmp_path / "out" / SLUG
    for name, text in OWN_FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8", newline="\n")
    (tmp_path / "elsewhere").mkdir()
    for name, text in ELSEWHERE.items():
        (tmp_path / "elsewhere" / name).write_text(text, encoding="utf-8", newline="\n")
    (project / "app" / "to_folder").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (project / "tests" / "to_file").symlink_to(tmp_path / "elsewhere" / "file.txt")
    (project / "docs" / "to_nothing").symlink_to("nothing")
    (project / "app" / "features" / "empty" / "emptier").mkdir(parents=True)
    (project / "app" / "mine.py").chmod(0o755)
    (project / "docs" / "my notes.md").chmod(0o600)
    (project / "tests" / "features" / "mine").chmod(0o750)
    (project / "app" / "core").chmod(0o700)
    (project / "app" / "main.py").write_text("changed\n", encoding="utf-8")
    (project / "docs" / "settings.md").unlink()
    for name in ("README.md", "LICENSE"):
        (project / name).unlink()
    (project / "README.md").symlink_to(tmp_path / "elsewhere" / "file.txt")
    (project / "LICENSE").hardlink_to(tmp_path / "elsewhere" / "license.txt")
    with (project / "pyproject.toml").open("a", encoding="utf-8", newline="\n") as file:
        file.write('\n[dependency-groups.mine]\nrequires = ["iniconfig"]\n')
    return project


def overwrite(project: Path, stop_at: str = "", **answers: str) -> Baked:
    """Render over the project, as `cookiecutter -f` does; whatever comes of that, nothing elsewhere is written."""
    place = project.parents[1]
    environment = {}
    if stop_at:
        (place / "stopper").mkdir(exist_ok=True)
        (place / "stopper" / "sitecustomize.py").write_text(STOPPER, encoding="utf-8")
        environment = {"STOP_AT": stop_at, "PYTHONPATH": str(place / "stopper")}
    baked = bake_into(place, answers, "--no-input", "--overwrite-if-exists", environment=environment)
    assert {name: (place / "elsewhere" / name).read_text(encoding="utf-8") for name in ELSEWHERE} == ELSEWHERE
    return baked


def written_anew(before: dict[str, Thing], fresh: dict[str, Thing]) -> dict[str, Thing]:
    """What has to be in the project: the template's files, and all that the owner had, but for those files.

    Those beside the folders that the owner had changed are there under another name.
    """
    template = {name for name, thing in fresh.items() if stat.S_ISREG(thing.mode) and name != ".env"}
    beside = {f"{name}{BEFORE}": thing for name, thing in before.items() if is_own_skin(name, thing, fresh)}
    return fresh | {name: thing for name, thing in before.items() if name not in template} | beside


def is_own_skin(name: str, thing: Thing, fresh: dict[str, Thing]) -> bool:
    """Whether it is a file of the template beside its folders that the owner has changed."""
    return "/" not in name and name in fresh and thing.content != fresh[name].content


def lost(project: Path, before: dict[str, Thing], fresh: dict[str, Thing]) -> list[str]:
    """What of the owner's is neither in its place nor where it waits or is kept."""
    places = [project, *(project / BEFORE).glob("*")]
    return [
        name
        for name, thing in before.items()
        if name not in fresh or is_own_skin(name, thing, fresh)
        if not any(look(path) == thing for place in places for path in candidates(place, name))
    ]


def candidates(place: Path, name: str) -> list[Path]:
    """Where something could be."""
    return [path for path in (place / name, *place.glob(f"{name}{BEFORE}*")) if os.path.lexists(path)]


def the_error(baked: Baked) -> str:
    """The one line that a hook said, beside Cookiecutter's own that one has failed."""
    lines = (line for line in baked.terminal.splitlines() if line.startswith("ERROR: "))
    (error,) = (line for line in lines if not line.startswith("ERROR: Stopping generation"))
    return error
