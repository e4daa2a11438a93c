"""Rendering over a project that is there: the template's files are written anew, and nothing of its owner's is lost.

Cookiecutter deletes a folder before it copies the template's over it, so the hooks set the owner's aside and bring back
what the template does not have (docs/decisions/0002).
"""

import json
import os
import shutil
import stat
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from scripts.trees import expected as expected_files
from tests.baked import ROOT, TEMPLATE
from tests.cli import Baked
from tests.hooks.owner import (
    BEFORE,
    ELSEWHERE,
    OPTIONS_OFF,
    OWN_FILES,
    OWN_MIGRATION,
    OWN_SKIN,
    Thing,
    everything,
    look,
    overwrite,
    the_error,
    written_anew,
)


def test_what_the_owner_has_stays(project: Path, fresh: dict[str, Thing], tmp_path: Path) -> None:
    """Files, links, empty folders and every mode are as they were; the template's files are as in a new project."""
    before, own = everything(project), project / "app" / "mine.py"
    os.utime(own, (1, 1))
    baked = overwrite(project)
    assert baked.exit_code == 0, baked.terminal
    assert everything(project) == written_anew(before, fresh)
    assert own.stat().st_mtime == 1
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {*ELSEWHERE}
    assert f"Your files wait in {BEFORE}." in baked.terminal
    assert ", ".join(f"{name}{BEFORE}" for name in OWN_SKIN) in baked.terminal


def test_what_was_kept_beside_earlier_is_written_over_by_nothing(project: Path, fresh: dict[str, Thing]) -> None:
    """Each later change has a name of its own; without one, nothing more is kept, and what is there is named."""
    before, kept = everything(project), project / f"pyproject.toml{BEFORE}"
    assert overwrite(project).exit_code == 0
    (project / "pyproject.toml").write_text("changed once more\n", encoding="utf-8")
    assert overwrite(project).exit_code == 0
    again = kept.with_name(f"{kept.name}-1")
    assert again.read_text(encoding="utf-8") == "changed once more\n"
    baked = overwrite(project)
    assert f"{kept.name}, {again.name}" in baked.terminal
    assert everything(project) == written_anew(before, fresh) | {again.name: look(again)}


def test_a_broken_link_and_a_folder_in_the_place_of_a_file(project: Path, fresh: dict[str, Thing]) -> None:
    """Neither is written to: they are kept beside the file as they are."""
    for name in ("SECURITY.md", "Makefile"):
        (project / name).unlink()
    (project / "SECURITY.md").symlink_to(project.parents[1] / "elsewhere" / "nothing")
    (project / "Makefile").mkdir()
    (project / "Makefile" / "mine.txt").write_text("mine\n", encoding="utf-8")
    before = everything(project)
    assert overwrite(project).exit_code == 0
    assert not (project.parents[1] / "elsewhere" / "nothing").exists()
    expected = written_anew(before, fresh)
    expected[f"Makefile{BEFORE}/mine.txt"] = expected.pop("Makefile/mine.txt")
    assert everything(project) == expected


def test_a_new_project_has_no_trace_of_it(default: Baked) -> None:
    """No folder for what is set aside, and no word of it."""
    assert not (default.project / BEFORE).exists()
    assert BEFORE not in default.terminal


def test_an_option_that_is_switched_off_goes(project: Path) -> None:
    """Its files of the earlier rendering too; the owner's stay in its folders, and their migration follows the last."""
    baked = overwrite(project, **OPTIONS_OFF)
    assert baked.exit_code == 0, baked.terminal
    expected = {*expected_files(OPTIONS_OFF), *OWN_FILES}
    links = {"app/to_folder", "tests/to_file", "docs/to_nothing"}
    expected |= {f"{name}{BEFORE}" for name in OWN_SKIN}
    left = {name for name, thing in everything(project).items() if not stat.S_ISDIR(thing.mode)}
    assert left == {*expected, *links}
    assert 'down_revision: str | None = "0005"' in (project / OWN_MIGRATION).read_text(encoding="utf-8")


def test_another_answer_takes_the_files_of_the_one_before(project: Path) -> None:
    """Those that the owner has changed are kept under another name, where no program looks for them."""
    assert overwrite(project, ci="gitlab").exit_code == 0
    assert (project / ".gitlab-ci.yml").is_file()
    assert not (project / ".github").exists()
    assert overwrite(project, ci="none").exit_code == 0
    assert not [*project.glob(".gitlab*")]
    assert overwrite(project, ci="gitlab").exit_code == 0
    with (project / ".gitlab-ci.yml").open("a", encoding="utf-8") as file:
        file.write("# mine\n")
    assert overwrite(project, ci="github").exit_code == 0
    assert [path.name for path in project.glob(".gitlab*")] == [f".gitlab-ci.yml{BEFORE}"]
    assert (project / ".github" / "workflows" / "check.yml").is_file()


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


def test_the_names_are_the_same_everywhere(pre_hook: ModuleType, post_hook: ModuleType) -> None:
    """All that Cookiecutter would write over is set aside: a folder that it copies whole, or what is kept beside."""
    asked = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    copied = {name.partition("/")[0] for name in asked["_copy_without_render"] if (TEMPLATE / name).is_dir()}
    top = {path.name for path in TEMPLATE.iterdir()}
    assert copied | {*post_hook.CONFIGURATION} == {*pre_hook.FOLDERS} == {*post_hook.FOLDERS}
    assert {*pre_hook.FOLDERS, *pre_hook.SKIN} == top
    assert not any("*" in name for name in asked["_copy_without_render"])
    assert pre_hook.BEFORE == str(post_hook.BEFORE) == BEFORE


def test_a_junction_of_windows_is_a_link(pre_hook: ModuleType, post_hook: ModuleType) -> None:
    """What is in it is elsewhere, although it says that it is a folder."""
    junction = SimpleNamespace(st_mode=stat.S_IFDIR | 0o755, st_reparse_tag=0xA0000003)
    assert not pre_hook.is_folder(junction)
    assert post_hook.kind(SimpleNamespace(lstat=lambda: junction)) == post_hook.LINK
