"""Migrations when options go, and when a project takes an update: the template's and the owner's are all applied."""

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from scripts.trees import ASKED
from tests.baked import ROOT, TEMPLATE
from tests.cli import bake_into
from tests.projects.test_first_feature import run
from tests.projects.test_rendered_projects import make

VERSIONS = Path("migrations/versions")
LATER = '''"""Something that a later template has."""

import sqlalchemy as sa
from alembic import op

revision: str = "0999"
down_revision: str | None = "{follows}"
additive = True


def upgrade() -> None:
    """Make a table."""
    op.create_table("later_things", sa.Column("id", sa.Uuid(), primary_key=True))
'''


def later_template(folder: Path) -> Path:
    """A copy of this template with one more migration, which follows its last one."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    versions = folder / TEMPLATE.name / VERSIONS
    last = max(path.name[:4] for path in versions.glob("0*.py"))
    (versions / "0999_later.py").write_text(LATER.format(follows=last), encoding="utf-8")
    return folder


def migration(revision: str, follows: str) -> str:
    """A migration as the template's are."""
    return f'"""About it."""\n\nrevision: str = {revision}\ndown_revision: str | None = {follows}\n'


def test_what_follows_a_migration_that_goes_follows_the_one_before(post_hook: ModuleType) -> None:
    """The first, one in the middle, the last, one with two that follow, and one after the other."""
    chain = {"1": migration('"1"', "None"), "2": migration('"2"', '"1"'), "3": migration('"3"', '"2"')}
    assert post_hook.relinked(chain, ["1"]) == {"2": migration('"2"', "None"), "3": chain["3"]}
    assert post_hook.relinked(chain, ["2"]) == {"1": chain["1"], "3": migration('"3"', '"1"')}
    assert post_hook.relinked(chain, ["3"]) == {"1": chain["1"], "2": chain["2"]}
    assert post_hook.relinked(chain, ["1", "2"]) == {"3": migration('"3"', "None")}
    branch = {"4": migration('"4"', '"2"'), "mine": migration('"mine"', '"3"')}
    left = {"1": chain["1"], "4": migration('"4"', '"1"'), "mine": migration('"mine"', '"1"')}
    assert post_hook.relinked(chain | branch, ["2", "3"]) == left


@pytest.mark.parametrize("text", ["", migration("'2'", '"1"'), migration('"2"', '("1", "x")')])
def test_fails_loudly_where_a_migration_is_not_as_expected(post_hook: ModuleType, text: str) -> None:
    """A line that is not there, or says more: the message names the file."""
    chain = {"1": migration('"1"', "None"), "2": text, "3": migration('"3"', '"2"')}
    with pytest.raises(post_hook.HookError, match="2"):
        post_hook.relinked(chain, ["2"])


def test_migrations_of_the_template_name_each_other_in_one_place() -> None:
    """So what is left of them names none that an option has taken away."""
    texts = {path.name[:4]: path.read_text("utf-8") for path in (TEMPLATE / "migrations" / "versions").glob("*.py")}
    for revision, text in texts.items():
        named = [quoted for quoted in re.findall(r'"(\d{4})"', text) if quoted != revision]
        assert len(named) == (revision != "0001"), revision


def test_each_migration_of_an_option_names_the_first_table_of_it() -> None:
    """So one that a project gets later is applied below what its database has; others name none."""
    option = re.compile(r'^option: str = "(\w+)"$', re.MULTILINE)
    texts = {path.name: path.read_text("utf-8") for path in (TEMPLATE / VERSIONS).glob("*.py")}
    paths = {Path(name) for each in ASKED["_options"] for name in each["files"]}
    named = {name: found[1] for name, text in texts.items() if (found := option.search(text))}
    assert {*named} == {path.name for path in paths if path.parent == VERSIONS}
    for name, table in named.items():
        (first, *_) = sorted(each for each, its in named.items() if its == table)
        assert f'create_table(\n        "{table}"' in texts[first], name


def test_the_owner_s_features_stay_on_the_list(
    post_hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, behind the template's; a second time changes nothing; other lines are the template's."""
    monkeypatch.chdir(tmp_path)
    here, mine = post_hook.INSTALLED, Path("mine.py")
    here.parent.mkdir(parents=True)
    template = (TEMPLATE / here).read_text(encoding="utf-8")
    here.write_text(template, encoding="utf-8")
    imports = [f"from app.features.{name}.feature import {name.upper()}\n" for name in ("books", "zoo_pages", "zoo")]
    entries = "    ZOO,\n    ZOO_PAGES,\n    BOOKS,\n"
    head, vault, tail = template.partition("    VAULT,\n")
    changed = head.replace("\nFEATURES", "".join(imports) + "\nFEATURES") + entries + "    # of mine\n" + vault + tail
    mine.write_text(changed, encoding="utf-8")
    for _ in range(2):
        post_hook.keep_features(mine, here)
        text = here.read_text(encoding="utf-8")
        assert [line for line in text.splitlines(keepends=True) if line in imports] == [imports[0], *imports[:0:-1]]
        assert text.endswith(f"    VAULT_PAGES,\n{entries})\n")
        assert len(text.splitlines()) == len(template.splitlines()) + 2 * len(imports)


@pytest.mark.rendered
def test_an_update_reaches_a_database_that_has_the_owner_s_migrations(tmp_path: Path) -> None:
    """An option with a lower number, and what a later template brings, are applied; the owner's feature stays."""
    project = bake_into(tmp_path, {"api_keys": "no"}).project
    make(project, "setup")
    run(project, "uv", "run", "manage", "new-feature", "notes")
    run(project, "uv", "run", "manage", "migrate")
    assert [path.name for path in (project / VERSIONS).glob("1*.py")] == ["1001_notes.py"]
    template = later_template(tmp_path / "later")
    update = bake_into(tmp_path, {"api_keys": "yes"}, "--no-input", "--overwrite-if-exists", template=template)
    assert update.exit_code == 0, update.terminal
    run(project, "uv", "run", "manage", "migrate")
    with closing(sqlite3.connect(project / "var" / "app.db")) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert {"notes", "api_keys", "later_things"} <= tables
    run(project, "uv", "run", "alembic", "merge", "heads", "-m", "Together")
    run(project, "uv", "run", "manage", "migrate")
    routes = run(project, "uv", "run", "manage", "routes")
    assert "/api/v1/notes" in routes
    assert "/api/v1/api-keys" in routes
    run(project, "uv", "run", "manage", "new-feature", "books")
    assert run(project, "uv", "run", "alembic", "heads").split() == ["1002", "(head)"]
