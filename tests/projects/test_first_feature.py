"""`docs/first-feature.md` of a rendered project, done as it says: a feature is new folders and entries in one list."""

import re
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli import bake_into
from tests.projects.test_rendered_projects import environment, make

BLOCK = re.compile(r"^```(sh|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OWN = re.compile(r"(?:app|docs|tests)/features/notes(?:_pages)?[/.].*|migrations/versions/\d{4}_.*notes\.py")


def run(project: Path, *command: str, text: str | None = None) -> str:
    """Run a command in a project, as its user does: what it said."""
    done = subprocess.run(
        command,
        cwd=project,
        env=environment(),
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}"
    return done.stdout


def changes(project: Path) -> Iterator[tuple[str, str]]:
    """What differs from the last commit: how, and the path."""
    for line in run(project, "git", "status", "--porcelain", "--untracked-files=all").splitlines():
        yield line[:2].strip(), line[3:]


def tables(project: Path) -> set[str]:
    """The tables of the project's database."""
    with closing(sqlite3.connect(project / "var" / "app.db")) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@pytest.mark.rendered
def test_a_feature_is_new_folders_and_entries_in_one_list(tmp_path: Path) -> None:
    """Every command works; the list changes, and that of settings; taken out, it is as before, and another one fits."""
    project = bake_into(tmp_path, {}).project
    make(project, "setup")
    run(project, "git", "init", "--quiet")
    run(project, "git", "add", "--all")
    run(project, "git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", "Begin")
    page = (project / "docs" / "first-feature.md").read_text(encoding="utf-8")
    for kind, text in BLOCK.findall(page):
        if kind == "diff":
            run(project, "git", "apply", "--unidiff-zero", "-", text=text)
        for line in text.splitlines() if kind == "sh" else ():
            run(project, *shlex.split(line))
    found = list(changes(project))
    assert [path for how, path in found if how != "??"] == ["app/features/installed.py", "docs/settings.md"]
    assert [path for how, path in found if how == "??" and not OWN.fullmatch(path)] == []
    added = run(project, "git", "diff", "--numstat").split()
    assert added[:2] == ["4", "0"]  # an import and an entry, of the feature and of its pages
    run(project, "git", "checkout", "--quiet", "app/features/installed.py", "docs/settings.md")
    for path in (path for how, path in found if how == "??"):
        (project / path).unlink()
    for folder in ("app", "tests"):
        for name in ("notes", "notes_pages"):
            shutil.rmtree(project / folder / "features" / name)
    kept = ("tests/access/test_routes.py", "tests/features/test_features.py")
    run(project, "uv", "run", "pytest", "-q", *kept, "-k", "not asked")
    run(project, "uv", "run", "manage", "migrate")
    run(project, "uv", "run", "manage", "new-feature", "books")
    run(project, "uv", "run", "manage", "migrate")
    assert {"books"} <= tables(project) - {"notes"} == tables(project)
    next((project / "migrations" / "versions").glob("1001_*")).unlink()
    with pytest.raises(AssertionError, match="The database has migrations whose files are gone"):
        run(project, "uv", "run", "alembic", "revision", "--autogenerate", "-m", "more")
    assert not [*(project / "migrations" / "versions").glob("1*")]
