"""The functions of the post-generation hook."""

import importlib.util
import io
import os
from pathlib import Path
from types import ModuleType

import pytest

from tests.baked import ROOT, TEMPLATE

# The migration that follows the vault's.
FOLLOWER = "migrations/versions/0007_authorization.py"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The hook as it stands, unrendered: its functions take what they need as arguments."""
    spec = importlib.util.spec_from_file_location("post_gen_project", ROOT / "hooks" / "post_gen_project.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


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


@pytest.fixture
def project(tmp_path: Path, hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the hook finds of the sample vault in a new project, which is the working directory, and what follows it."""
    for name in {*hook.VAULT_FILES, *(mention[0] for mention in hook.VAULT_MENTIONS), FOLLOWER}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((TEMPLATE / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(project: Path) -> dict[str, bytes]:
    """Every file with what is in it."""
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_removes_the_vault_and_its_empty_folders(hook: ModuleType, project: Path) -> None:
    """Its files are gone, lines are gone from the others, and a second time there is nothing to remove."""
    hook.remove_vault()
    left = contents(project)
    assert set(left) == {mention[0] for mention in hook.VAULT_MENTIONS} | {FOLLOWER}
    assert b'down_revision: str | None = "0005"' in left[FOLLOWER]
    assert not (project / "app" / "features" / "vault").exists()
    assert b"vault" not in left["app/main.py"]
    assert (project / "migrations" / "env.py").read_bytes().count(b"\n") > 40
    with pytest.raises(hook.HookError):
        hook.remove_vault()


def test_leaves_what_the_user_put_beside_it(hook: ModuleType, project: Path) -> None:
    """Rendering over a project removes no file that the template did not bring."""
    own = project / "app" / "features" / "vault" / "mine.py"
    own.touch()
    hook.remove_vault()
    assert list(own.parent.iterdir()) == [own]


def test_fails_loudly_where_something_of_the_vault_is_not_there(hook: ModuleType, project: Path) -> None:
    """A line less, a line more, a file less: the message names the file, and nothing is half removed."""
    before = contents(project)
    for name, unit, mark, _ in hook.VAULT_MENTIONS:
        parts = before[name].decode().split(unit)
        marked = next(part for part in parts if mark in part)
        for broken in ([part for part in parts if part != marked], [*parts, marked]):
            (project / name).write_text(unit.join(broken), encoding="utf-8")
            now = contents(project)
            with pytest.raises(hook.HookError, match=name):
                hook.remove_vault()
            assert contents(project) == now
        (project / name).write_bytes(before[name])
    for name in hook.VAULT_FILES:
        (project / name).unlink()
        with pytest.raises(hook.HookError, match=name):
            hook.remove_vault()
        assert contents(project) == {other: text for other, text in before.items() if other != name}
        (project / name).write_bytes(before[name])


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


def test_names_every_file_of_the_vault(hook: ModuleType) -> None:
    """A file that is added to it is added to the list."""
    files = [path.relative_to(TEMPLATE).as_posix() for path in TEMPLATE.rglob("*") if path.is_file()]
    assert sorted(name for name in files if "vault" in name) == sorted(hook.VAULT_FILES)


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
    ("stream", "environment", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
    ids=["terminal", "NO_COLOR", "dumb", "pipe"],
)
def test_colour_is_for_terminals_that_want_it(
    hook: ModuleType, stream: io.StringIO, environment: dict[str, str], *, wanted: bool
) -> None:
    """https://no-color.org."""
    assert hook.wants_colour(stream, environment) is wanted


def test_the_next_steps_name_what_to_type(hook: ModuleType) -> None:
    """Folder, first command, and the way without make; PostgreSQL needs one more thing."""
    steps = hook.next_steps("my-api", "postgresql", created=True, colour=False)
    for words in ("cd my-api", "make run", "uv run manage", "give it to the role `app`"):
        assert words in steps
    assert "\x1b" not in steps
    assert "\x1b[1m" in hook.next_steps("my-api", "sqlite", created=True, colour=True)
