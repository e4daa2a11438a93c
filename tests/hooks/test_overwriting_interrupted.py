"""Rendering over a project is interrupted at every step: nothing is lost, and the next time all is well."""

import os
import signal
from pathlib import Path

import pytest

from tests.hooks.owner import (
    BEFORE,
    OPTIONS_OFF,
    OWN_MIGRATION,
    Thing,
    everything,
    lost,
    overwrite,
    the_error,
    written_anew,
)

STAGES = {
    "before anything is set aside": "os.rename|.before-update/1/app|1",
    "while it is set aside": "os.rename|.before-update/1/migrations|1",
    "while the files beside the folders are": "os.rename|.before-update/1/README.md|1",
    "before the first copy": "shutil.copyfile|app/|1",
    "in the midst of the first folder": "shutil.copyfile|app/|200",
    "between folders": "shutil.copyfile|migrations/|1",
    "when all is copied": "open|my-secure-api/pyproject.toml|1",
    "when a file is written": "shutil.copymode|my-secure-api/README.md|1",
    "before anything is brought back": "os.remove|.before-update/1/app/|1",
    "at the first that is brought back": "os.rename|.before-update/1/app/|1",
    "in the midst of bringing back": "os.rename|.before-update/1/docs/|1",
    "while the rest is removed": "os.remove|.before-update/1/tests/|90",
    "when the first file is kept": "os.rename|LICENSE.before-update|1",
    "when the last file is kept": "os.rename|pyproject.toml.before-update|1",
    "when a file is not needed": "os.remove|.before-update/1/SECURITY.md|1",
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
    """Each attempt takes up what the ones before it left, also when an option was switched off meanwhile.

    What the attempts wrote beside the folders may be the owner's work, so it is kept too, after theirs.
    """
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
    after, expected = everything(project), written_anew(before, fresh)
    more = {name for name in after.keys() - expected.keys() if BEFORE in name}
    assert {name.partition(BEFORE)[0] for name in more} <= {
        ".gitlab-ci.yml",
        "README.md",
        "SECURITY.md",
        "pyproject.toml",
    }
    assert {name: thing for name, thing in after.items() if name not in more} == expected


@needs_sigkill
def test_a_file_that_was_cut_off_is_not_kept(project: Path, fresh: dict[str, Thing]) -> None:
    """The beginning of the template's own text is nobody's work."""
    before = everything(project)
    assert overwrite(project, f"{STAGES['when a file is written']}|kill").exit_code == -signal.SIGKILL
    os.truncate(project / "README.md", 100)
    assert overwrite(project).exit_code == 0
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


def test_a_folder_that_cannot_be_moved_is_left_with_all_the_others(project: Path) -> None:
    """As where another program has a file open on Windows: one line says which, and all is as it was."""
    before = everything(project)
    baked = overwrite(project, "os.rename|.before-update/1/migrations|1|refuse")
    assert baked.exit_code == 1
    error = the_error(baked)
    assert error == f"ERROR: migrations cannot be moved to {BEFORE}, which an update needs: Permission denied"
    assert everything(project) == before


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
