"""The functions of the post-generation hook."""

import importlib.util
import io
import json
import os
import subprocess
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scripts.trees import OPTIONS
from tests.baked import ROOT, TEMPLATE


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The hook as it stands, unrendered: its functions take what they need as arguments."""
    spec = importlib.util.spec_from_file_location("post_gen_project", ROOT / "hooks" / "post_gen_project.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_secret_is_drawn_for_itself(hook: ModuleType) -> None:
    """Key and password differ, and an answer that looks like the placeholder stays."""
    example = "APP_NAME='replace-me'\nSECRET_KEY=replace-me\nDATABASE_URL=postgresql://app:replace-me@h/app\n"
    name, key, url = hook.fill_secrets(example, ("SECRET_KEY", "DATABASE_URL")).splitlines()
    assert name == "APP_NAME='replace-me'"
    assert "replace-me" not in key + url
    assert key.removeprefix("SECRET_KEY=") not in url


@pytest.mark.parametrize("example", ["", "SECRET_KEY=\n", "SECRET_KEY=replace-me\nSECRET_KEY=replace-me\n"])
def test_fails_loudly_where_the_placeholder_is_not_there_once(hook: ModuleType, example: str) -> None:
    """A template that lost its placeholder does not make projects with an empty key."""
    with pytest.raises(hook.HookError, match="SECRET_KEY"):
        hook.fill_secrets(example, ("SECRET_KEY",))


# The folders that an option has for itself, and what its files elsewhere are called.
FOLDERS = {
    "browser_pages": (
        "app/features/authorization/",
        "app/features/browser/",
        "app/features/pages/",
        "app/features/vault_pages/",
        "tests/features/authorization/",
        "tests/features/browser/",
        "tests/features/pages/",
        "tests/features/vault_pages/",
    ),
    "sample_vault": ("app/features/vault/", "app/features/vault_pages/", "tests/features/vault/"),
}
NAMED = {"browser_pages": "browser", "sample_vault": "vault"}
SETS = [left_out for count in (1, 2) for left_out in permutations(OPTIONS, count)]


def own(option: Any) -> set[str]:
    """The files of the template that belong to an option."""
    return {name for name in files_of_the_template() if any(Path(name).is_relative_to(path) for path in option.paths)}


@pytest.fixture
def project(tmp_path: Path, hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the hook finds of the options in a new project, which is the working directory."""
    names = {path.relative_to(TEMPLATE).as_posix() for path in (TEMPLATE / "migrations" / "versions").glob("*.py")}
    for option in hook.OPTIONS.values():
        names |= own(option) | {mention[0] for mention in option.mentions}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((TEMPLATE / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def remove(hook: ModuleType, options: Sequence[Any]) -> None:
    """Remove options, as the hook does."""
    hook.remove(options, set().union(*map(hook.own_files, options)))


def contents(project: Path) -> dict[str, bytes]:
    """Every file with what is in it."""
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_every_prompt_that_leaves_something_out_is_there(hook: ModuleType) -> None:
    """The table of the hook, the lists of files and the questions speak of the same options."""
    asked = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    assert set(hook.OPTIONS) == set(OPTIONS) == {name for name, answer in asked.items() if answer is True}


@pytest.mark.parametrize("left_out", SETS, ids="-".join)
def test_removes_options_and_their_empty_folders(hook: ModuleType, project: Path, left_out: tuple[str, ...]) -> None:
    """In any order: files are gone, lines are gone from the others, and a second time there is nothing to remove."""
    options, before = [hook.OPTIONS[name] for name in left_out], contents(project)
    gone = set().union(*map(own, options))
    remove(hook, options)
    left = contents(project)
    assert set(left) == set(before) - gone
    mentioned = {mention[0] for option in options for mention in option.mentions} - gone
    assert all(len(left[name]) < len(before[name]) for name in mentioned)
    assert all(any(folder.iterdir()) for folder in project.rglob("*") if folder.is_dir())
    for option in options:
        with pytest.raises(hook.HookError, match=option.name):
            remove(hook, [option])
    assert contents(project) == left


def test_the_order_makes_no_difference(hook: ModuleType, project: Path) -> None:
    """Whichever of them comes first, what is left is the same."""
    before, results = contents(project), []
    for options in permutations(hook.OPTIONS.values()):
        for name, text in before.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_bytes(text)
        remove(hook, options)
        results.append(contents(project))
    assert results == [results[0]] * len(results)


def test_leaves_what_the_user_put_beside_it(hook: ModuleType, project: Path) -> None:
    """Rendering over a project removes no file that the template did not bring."""
    own = [project / folder / "mine.py" for folder in ("app/features/vault", "app/features/pages/kit/static")]
    options = list(hook.OPTIONS.values())
    files = set().union(*map(hook.own_files, options))
    for path in own:
        path.touch()
    hook.remove(options, files)
    assert [list(path.parent.iterdir()) for path in own] == [[path] for path in own]


def test_a_file_can_belong_to_two_options(hook: ModuleType, project: Path) -> None:
    """It goes with either, and with both nobody misses it, or what stood in it."""
    page, line = "shared/page.py", "one\ntwo\n"
    one = hook.Option("one", "shared/page.py", [("wiring.py", hook.LINES, "one", 1)])
    two = hook.Option("two", "shared", [("wiring.py", hook.LINES, "two", 1)])
    for options, wiring in (([one], "two\n"), ([two], "one\n"), ([one, two], ""), ([two, one], "")):
        (project / "shared").mkdir(exist_ok=True)
        for name, text in ((page, ""), ("shared/other.py", ""), ("wiring.py", line)):
            (project / name).write_text(text, encoding="utf-8")
        remove(hook, options)
        assert (project / "wiring.py").read_text(encoding="utf-8") == wiring
        assert (project / "shared").exists() == (two not in options)


def test_fails_loudly_where_something_is_not_there(hook: ModuleType, project: Path) -> None:
    """A line less, a line more, a file less: the message names the file, and nothing of any option is removed."""
    before, options = contents(project), list(hook.OPTIONS.values())
    for owner, (name, unit, mark, _) in ((option, mention) for option in options for mention in option.mentions):
        parts = before[name].decode().split(unit)
        marked = next(part for part in parts if mark in part)
        for broken in ([part for part in parts if part != marked], [*parts, marked]):
            (project / name).write_text(unit.join(broken), encoding="utf-8")
            now = contents(project)
            with pytest.raises(hook.HookError, match=name):
                remove(hook, [owner])
            assert contents(project) == now
        (project / name).write_bytes(before[name])
    for path in {path for option in options for path in option.paths}:
        path.rename("elsewhere")
        with pytest.raises(hook.HookError, match=path.as_posix()):
            remove(hook, options)
        Path("elsewhere").rename(path)
    assert contents(project) == before


def test_names_every_file_of_the_options(hook: ModuleType) -> None:
    """A file that is added for an option is on its list, and none is on it that is not there."""
    tracked = files_of_the_template()
    for name, option in hook.OPTIONS.items():
        below = {file for file in tracked if file.startswith(FOLDERS[name]) or NAMED[name] in file}
        assert sorted(below - own(option)) == [], f"not on the list of {option.name}"
        assert [path for path in option.paths if not (TEMPLATE / path).exists()] == [], option.name


def files_of_the_template() -> set[str]:
    """Every file of the rendered project's source that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=TEMPLATE, check=True, capture_output=True).stdout.decode().split("\0")
    return {name for name in names if name and (TEMPLATE / name).is_file()}


def migration(revision: str, follows: str) -> str:
    """A migration as the template's are."""
    return f'"""About it."""\n\nrevision: str = {revision}\ndown_revision: str | None = {follows}\n'


def test_what_follows_a_migration_that_goes_follows_the_one_before(hook: ModuleType) -> None:
    """The first, one in the middle, the last, one with two that follow, and one after the other."""
    chain = {"1": migration('"1"', "None"), "2": migration('"2"', '"1"'), "3": migration('"3"', '"2"')}
    assert hook.relinked(chain, "1") == {"2": migration('"2"', "None")}
    assert hook.relinked(chain, "2") == {"3": migration('"3"', '"1"')}
    assert hook.relinked(chain, "3") == {}
    branch = chain | {"4": migration('"4"', '"2"')}
    assert hook.relinked(branch, "2") == {"3": migration('"3"', '"1"'), "4": migration('"4"', '"1"')}
    rest = {name: text for name, text in (chain | hook.relinked(chain, "1")).items() if name != "1"}
    assert hook.relinked(rest, "2") == {"3": migration('"3"', "None")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("2", ""),
        ("2", migration('"2"', '"1"') * 2),
        ("2", migration("'2'", '"1"')),
        ("3", migration('"3"', '("2", "x")')),
        ("3", migration('"3"', '"2"') + 'depends_on = "2"\n'),
        ("3", migration('"3"', '"1"') + 'depends_on = "2"\n'),
        ("3", migration('"3"', '"2"').replace("down_revision: str | None", "down_revision")),
    ],
)
def test_fails_loudly_where_a_migration_is_not_as_expected(hook: ModuleType, name: str, text: str) -> None:
    """A line that is not there, or says more: the message names the file."""
    chain = {"1": migration('"1"', "None"), "2": migration('"2"', '"1"'), "3": migration('"3"', '"2"')}
    with pytest.raises(hook.HookError, match=name):
        hook.relinked(chain | {name: text}, "2")


def test_several_migrations_go_at_once(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What followed two that go follows the one before them, and a migration of the user's own does so too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / hook.MIGRATIONS).mkdir(parents=True)
    chain = {"1": migration('"1"', "None"), "2": migration('"2"', '"1"'), "3": migration('"3"', '"2"')}
    for name, text in (chain | {"mine": migration('"mine"', '"3"')}).items():
        (tmp_path / hook.MIGRATIONS / f"{name}.py").write_text(text, encoding="utf-8")
    hook.remove(
        [hook.Option("one", {str(hook.MIGRATIONS): "3.py"}), hook.Option("two", {str(hook.MIGRATIONS): "2.py"})]
    )
    left = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / hook.MIGRATIONS).iterdir()}
    assert left == {"1": chain["1"], "mine": migration('"mine"', '"1"')}


def test_creates_a_private_file_once(hook: ModuleType, tmp_path: Path) -> None:
    """The second time nothing is touched."""
    path = tmp_path / ".env"
    assert hook.create_private(path, b"first")
    assert not hook.create_private(path, b"second")
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600


def test_follows_no_link(hook: ModuleType, tmp_path: Path) -> None:
    """A dangling link is something that has the name."""
    path = tmp_path / ".env"
    path.symlink_to(tmp_path / "target")
    assert not hook.create_private(path, b"secret")
    assert not (tmp_path / "target").exists()


def test_leaves_no_half_file_when_the_disk_is_full(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that fails leaves nothing behind that would be taken for finished."""

    class FullDisk(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    def full(descriptor: int, _: str) -> FullDisk:
        os.close(descriptor)
        return FullDisk()

    monkeypatch.setattr(hook.os, "fdopen", full)
    with pytest.raises(OSError, match="No space"):
        hook.create_private(tmp_path / ".env", b"secret")
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [(True, {}, True), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False), (False, {}, False)],
    ids=["terminal", "NO_COLOR", "dumb", "pipe"],
)
def test_colour_is_for_terminals_that_want_it(
    hook: ModuleType, environment: dict[str, str], *, terminal: bool, wanted: bool
) -> None:
    """https://no-color.org."""
    assert hook.wants_colour(environment, terminal=terminal) is wanted


def test_the_next_steps_name_what_to_type(hook: ModuleType) -> None:
    """Folder, first command, and the way without make; PostgreSQL needs one more thing."""
    steps = hook.next_steps("my-api", "postgresql", [], created=True, colour=False)
    for words in ("cd my-api", "make run", "uv run manage", "give it to the role `app`"):
        assert words in steps
    assert "\x1b" not in steps
    assert "\x1b[1m" in hook.next_steps("my-api", "sqlite", [], created=True, colour=True)
