"""Rendering over a project that is there: the template's files are written anew, and nothing of its owner's is lost.

Cookiecutter deletes a folder before it copies the template's over it, so the hooks set the owner's aside and bring back
what the template does not have (docs/decisions/0002). Here owners do what owners do, and every step is interrupted.
"""

import json
import os
import shutil
import signal
import stat
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import pytest

from scripts.trees import TREES
from tests.baked import ROOT, TEMPLATE
from tests.cli import SLUG, Baked, bake_into

BEFORE = ".before-update"
OWN_MIGRATION = "migrations/versions/0009_mine.py"
OWN_FILES = {
    "app/mine.py": "MINE = 1\n",
    "app/.hidden": "",
    "app/features/mine/__init__.py": "",
    "app/features/mine/deep/er/Größe und Maß.txt": "42\n",
    "app/features/vault/mine.py": "VAULT = 1\n",
    "app/features/pages/templates/mine.html": "<p>{{ mine }}</p>\n",
    "bench/mine.py": "",
    "docs/my notes.md": "Mine.\n",
    OWN_MIGRATION: 'revision: str = "0009"\ndown_revision: str | None = "0008"\n',
    "tests/features/mine/test_mine.py": "def test_mine(): ...\n",
    "notes/mine.txt": "Mine.\n",
}
OPTIONS_OFF = {"browser_pages": "no", "sample_vault": "no"}

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
    (tmp_path / "elsewhere" / "file.txt").write_text("elsewhere\n", encoding="utf-8")
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
    return project


def overwrite(project: Path, stop_at: str = "", **answers: str) -> Baked:
    """Render over the project, as `cookiecutter -f` does."""
    place = project.parents[1]
    environment = {}
    if stop_at:
        (place / "stopper").mkdir(exist_ok=True)
        (place / "stopper" / "sitecustomize.py").write_text(STOPPER, encoding="utf-8")
        environment = {"STOP_AT": stop_at, "PYTHONPATH": str(place / "stopper")}
    return bake_into(place, answers, "--no-input", "--overwrite-if-exists", environment=environment)


def written_anew(before: dict[str, Thing], fresh: dict[str, Thing]) -> dict[str, Thing]:
    """What has to be in the project: the template's files, and all that the owner had, but for those files."""
    template = {name for name, thing in fresh.items() if stat.S_ISREG(thing.mode) and name != ".env"}
    return fresh | {name: thing for name, thing in before.items() if name not in template}


def lost(project: Path, before: dict[str, Thing], fresh: dict[str, Thing]) -> list[str]:
    """What of the owner's is neither in its place nor in the folder where it waits."""
    places = [project, *(project / BEFORE).glob("*")]
    return [
        name
        for name, thing in before.items()
        if name not in fresh
        and not any(os.path.lexists(place / name) and look(place / name) == thing for place in places)
    ]


def the_error(baked: Baked) -> str:
    """The one line that a hook said, beside Cookiecutter's own that one has failed."""
    lines = (line for line in baked.terminal.splitlines() if line.startswith("ERROR: "))
    (error,) = (line for line in lines if not line.startswith("ERROR: Stopping generation"))
    return error


def test_what_the_owner_has_stays(project: Path, fresh: dict[str, Thing], tmp_path: Path) -> None:
    """Files, links, empty folders and every mode are as they were; the template's files are as in a new project."""
    before, own = everything(project), project / "app" / "mine.py"
    os.utime(own, (1, 1))
    baked = overwrite(project)
    assert baked.exit_code == 0, baked.terminal
    assert everything(project) == written_anew(before, fresh)
    assert own.stat().st_mtime == 1
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["file.txt"]
    assert f"Your files wait in {BEFORE}." in baked.terminal


def test_a_new_project_has_no_trace_of_it(default: Baked) -> None:
    """No folder for what is set aside, and no word of it."""
    assert not (default.project / BEFORE).exists()
    assert BEFORE not in default.terminal


def test_an_option_that_is_switched_off_goes(project: Path) -> None:
    """Its files of the earlier rendering too; the owner's stay in its folders, and their migration follows the last."""
    baked = overwrite(project, **OPTIONS_OFF)
    assert baked.exit_code == 0, baked.terminal
    expected = {*(TREES / "sqlite-without-pages-without-vault.txt").read_text(encoding="utf-8").split("\n"), *OWN_FILES}
    links = {"app/to_folder", "tests/to_file", "docs/to_nothing"}
    left = {name for name, thing in everything(project).items() if not stat.S_ISDIR(thing.mode)}
    assert left == {*filter(None, expected), *links}
    assert 'down_revision: str | None = "0005"' in (project / OWN_MIGRATION).read_text(encoding="utf-8")


STAGES = {
    "before anything is set aside": "os.rename|.before-update/1/app|1",
    "while it is set aside": "os.rename|.before-update/1/migrations|1",
    "before the first copy": "shutil.copyfile|app/|1",
    "in the midst of the first folder": "shutil.copyfile|app/|200",
    "between folders": "shutil.copyfile|migrations/|1",
    "when all is copied": "open|my-secure-api/pyproject.toml|1",
    "before anything is brought back": "os.remove|.before-update/1/app/|1",
    "at the first that is brought back": "os.rename|.before-update/1/app/|1",
    "in the midst of bringing back": "os.rename|.before-update/1/docs/|1",
    "while the rest is removed": "os.remove|.before-update/1/tests/|90",
    "when a folder is empty": "os.rmdir|.before-update/1'|1",
    "when all is empty": "os.rmdir|.before-update'|1",
}
needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")


@needs_sigkill
@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
def test_killed_at_any_stage_it_loses_nothing(project: Path, fresh: dict[str, Thing], stage: str) -> None:
    """Then everything of the owner's is still in the project's folder, and the next rendering is as good as the first.

    In between a render with a bad answer changes nothing.
    """
    before = everything(project)
    assert overwrite(project, f"{stage}|kill").exit_code == -signal.SIGKILL
    assert lost(project, before, fresh) == []
    after = everything(project)
    assert overwrite(project, admin_email="nobody").exit_code == 1
    assert everything(project) == after
    baked = overwrite(project)
    assert baked.exit_code == 0, baked.terminal
    assert everything(project) == written_anew(before, fresh)


@needs_sigkill
def test_killed_again_and_again_it_loses_nothing(project: Path, fresh: dict[str, Thing]) -> None:
    """Each attempt takes up what the ones before it left, also when an option was switched off meanwhile."""
    (project / OWN_MIGRATION).unlink()  # it would be told to follow another one
    before = everything(project)
    for stage in (
        STAGES["in the midst of the first folder"],
        "os.rename|.before-update/2|1",
        "shutil.copyfile|app/|200",
        "os.rename|.before-update/1/app/|2",
        "os.remove|'app/features/vault/models.py'|1",
    ):
        assert overwrite(project, f"{stage}|kill", **OPTIONS_OFF).exit_code == -signal.SIGKILL
        assert lost(project, before, fresh) == []
    baked = overwrite(project)
    assert baked.exit_code == 0, baked.terminal
    assert everything(project) == written_anew(before, fresh)


@needs_sigkill
def test_what_was_written_between_two_attempts_is_kept_beside_the_old(project: Path, fresh: dict[str, Thing]) -> None:
    """The new text stands in its place, the old one is named; what was restored as it was is no reason to stop."""
    before = everything(project)
    assert overwrite(project, f"{STAGES['between folders']}|kill").exit_code == -signal.SIGKILL
    (project / "app" / ".hidden").touch()
    new, old = project / "app" / "mine.py", project / BEFORE / "1" / "app" / "mine.py"
    new.write_text("MINE = 2\n", encoding="utf-8")
    baked = overwrite(project)
    assert baked.exit_code == 1
    assert f"{old.relative_to(project)} (a file, and there is a file in its place)" in baked.terminal
    assert (new.read_text(encoding="utf-8"), old.read_text(encoding="utf-8")) == ("MINE = 2\n", "MINE = 1\n")
    assert [path for path in (project / BEFORE).rglob("*") if path.is_file()] == [old]
    old.replace(new)
    assert overwrite(project).exit_code == 0
    assert everything(project) == written_anew(before, fresh)


def file_for_a_folder(project: Path) -> str:
    """The owner has a file where the template has a folder."""
    shutil.rmtree(project / "app" / "core")
    (project / "app" / "core").write_text("mine\n", encoding="utf-8")
    return "app/core"


def folder_for_a_file(project: Path) -> str:
    """The owner has a folder where the template has a file."""
    (project / "tests" / "conftest.py").unlink()
    (project / "tests" / "conftest.py").mkdir()
    (project / "tests" / "conftest.py" / "mine.txt").write_text("mine\n", encoding="utf-8")
    return "tests/conftest.py"


def link_for_a_folder(project: Path) -> str:
    """The owner has a link to a folder elsewhere where the template has a folder."""
    shutil.rmtree(project / "app" / "core")
    (project / "app" / "core").symlink_to(project.parents[1] / "elsewhere", target_is_directory=True)
    return "app/core"


def link_for_a_file(project: Path) -> str:
    """The owner has a link to a file elsewhere where the template has a file."""
    (project / "app" / "main.py").unlink()
    (project / "app" / "main.py").symlink_to(project.parents[1] / "elsewhere" / "file.txt")
    return "app/main.py"


@pytest.mark.parametrize("make", [file_for_a_folder, folder_for_a_file, link_for_a_folder, link_for_a_file])
def test_what_cannot_be_in_one_place_with_the_template_s_waits(
    project: Path, fresh: dict[str, Thing], make: object
) -> None:
    """One line names it and where it waits; all else is back. Moved away, it is in nobody's way any more."""
    assert callable(make)
    name = make(project)
    before = everything(project)
    of_it = {other: thing for other, thing in before.items() if other == name or other.startswith(f"{name}/")}
    waits = project / BEFORE / "1" / name
    for _ in range(2):
        baked = overwrite(project)
        assert baked.exit_code == 1
        error = the_error(baked)
        assert str(waits.relative_to(project)) in error
        found = everything(project / BEFORE / "1")
        assert {other: thing for other, thing in found.items() if not stat.S_ISDIR(thing.mode)}.items() <= of_it.items()
        assert look(waits) == of_it[name]
        assert {*before} - {*of_it} <= {*everything(project)}
    waits.rename(project / "moved away")
    assert overwrite(project).exit_code == 0
    kept = {other: thing for other, thing in before.items() if other not in of_it}
    moved = {"moved away" + other.removeprefix(name): thing for other, thing in of_it.items()}
    assert everything(project) == written_anew(kept | moved, fresh)
    assert look(project.parents[1] / "elsewhere" / "file.txt").content == b"elsewhere\n"


def test_a_folder_in_the_place_of_a_file_beside_the_folders(project: Path, fresh: dict[str, Thing]) -> None:
    """Cookiecutter itself stops there; nothing is lost, and when it is out of the way all comes back."""
    (project / "Makefile").unlink()
    (project / "Makefile").mkdir()
    before = everything(project)
    baked = overwrite(project)
    assert baked.exit_code != 0
    assert f"Your files wait in {BEFORE}." in baked.terminal
    assert lost(project, before, fresh) == []
    (project / "Makefile").rmdir()
    del before["Makefile"]
    assert overwrite(project).exit_code == 0
    assert everything(project) == written_anew(before, fresh)


@pytest.mark.parametrize("answers", [{"admin_email": "nobody"}, {"description": " "}], ids=str)
def test_refused_answers_change_nothing(project: Path, answers: dict[str, str]) -> None:
    """They are looked at before anything is moved."""
    before = everything(project)
    baked = overwrite(project, **answers)
    assert baked.exit_code == 1
    assert everything(project) == before


@pytest.mark.parametrize("name", ["app", "tests", BEFORE])
@pytest.mark.parametrize("what", ["link", "dangling link", "file"])
def test_refuses_a_folder_that_is_none(project: Path, name: str, what: str) -> None:
    """One line says so, nothing is moved, and nothing is written where a link points to."""
    elsewhere, path = project.parents[1] / "elsewhere", project / name
    if path.exists():
        path.rename(elsewhere / name)
    if what == "file":
        path.touch()
    else:
        path.symlink_to(elsewhere / (name if what == "link" else "nothing"), target_is_directory=True)
        (elsewhere / BEFORE).mkdir()
    before, there = everything(project), everything(elsewhere)
    baked = overwrite(project)
    assert baked.exit_code == 1
    error = the_error(baked)
    assert error.startswith(f"ERROR: {name} is a file or a link")
    assert (everything(project), everything(elsewhere)) == (before, there)


def test_a_folder_that_cannot_be_moved_is_left_with_all_the_others(project: Path) -> None:
    """As where another program has a file open on Windows: one line says which, and all is as it was."""
    before = everything(project)
    baked = overwrite(project, "os.rename|.before-update/1/migrations|1|refuse")
    assert baked.exit_code == 1
    error = the_error(baked)
    assert error == f"ERROR: migrations cannot be moved to {BEFORE}, which an update needs: Permission denied"
    assert everything(project) == before


@pytest.mark.parametrize("name", [".", "app"])
def test_a_folder_that_is_read_only_is_left_with_all_the_others(project: Path, name: str) -> None:
    """One line says which, and all is as it was."""
    (project / name).chmod(0o555)
    if os.access(project / name, os.W_OK):
        pytest.skip("whoever runs this may write everywhere")
    before = everything(project)
    baked = overwrite(project)
    after = everything(project)
    (project / name).chmod(0o755)
    assert baked.exit_code == 1
    assert "Permission denied" in the_error(baked)
    assert after == before


def test_what_cannot_be_brought_back_waits_for_the_next_time(project: Path, fresh: dict[str, Thing]) -> None:
    """One line names it, all else is back; the next rendering brings it back, too."""
    before = everything(project)
    baked = overwrite(project, "os.rename|.before-update/1/app/mine.py|1|refuse")
    assert baked.exit_code == 1
    error = the_error(baked)
    assert f"{Path(BEFORE, '1', 'app', 'mine.py')} (Permission denied)" in error
    assert [path.name for path in (project / BEFORE).rglob("*") if not path.is_dir()] == ["mine.py"]
    assert overwrite(project).exit_code == 0
    assert everything(project) == written_anew(before, fresh)


def test_a_link_or_another_s_file_where_things_wait_is_not_touched(project: Path, fresh: dict[str, Thing]) -> None:
    """A project from somebody else cannot make the hooks move what is elsewhere."""
    elsewhere = project.parents[1] / "elsewhere"
    (project / BEFORE / "8").mkdir(parents=True)
    (project / BEFORE / "7").symlink_to(elsewhere, target_is_directory=True)
    (project / BEFORE / "8" / "app").symlink_to(elsewhere, target_is_directory=True)
    (project / BEFORE / "9").touch()
    (project / BEFORE / "notes.txt").touch()
    there = everything(elsewhere)
    baked = overwrite(project)
    assert baked.exit_code == 1
    assert f"{Path(BEFORE, '8', 'app')} (a link, and there is a folder in its place)" in baked.terminal
    (project / BEFORE / "8" / "app").unlink()
    assert overwrite(project).exit_code == 0
    assert {path.name for path in (project / BEFORE).iterdir()} == {"7", "9", "notes.txt"}
    assert everything(elsewhere) == there
    assert {*fresh} <= {*everything(project)}


def test_the_folders_are_the_same_everywhere(pre_hook: ModuleType, post_hook: ModuleType) -> None:
    """Every folder that Cookiecutter copies whole, and so would delete, is one that the hooks set aside."""
    asked = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    copied = {name for name in asked["_copy_without_render"] if (TEMPLATE / name).is_dir()}
    assert copied == {*pre_hook.FOLDERS} == {*post_hook.FOLDERS}
    assert not any("*" in name for name in asked["_copy_without_render"])
    assert pre_hook.BEFORE == str(post_hook.BEFORE) == BEFORE


def test_a_junction_of_windows_is_a_link(pre_hook: ModuleType, post_hook: ModuleType) -> None:
    """What is in it is elsewhere, although it says that it is a folder."""
    junction = SimpleNamespace(st_mode=stat.S_IFDIR | 0o755, st_reparse_tag=0xA0000003)
    assert not pre_hook.is_folder(junction)
    assert post_hook.kind(SimpleNamespace(lstat=lambda: junction)) == post_hook.LINK
