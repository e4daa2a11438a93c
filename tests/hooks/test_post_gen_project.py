"""The functions of the post-generation hook."""

import io
import os
import re
import subprocess
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from types import ModuleType

import pytest

from scripts.trees import ASKED
from tests.baked import TEMPLATE


def test_each_secret_is_drawn_for_itself(post_hook: ModuleType) -> None:
    """Key and password differ, and an answer that looks like the placeholder stays."""
    example = "APP_NAME='replace-me'\nSECRET_KEY=replace-me\nDATABASE_URL=postgresql://app:replace-me@h/app\n"
    name, key, url = post_hook.fill_secrets(example, ("SECRET_KEY", "DATABASE_URL")).splitlines()
    assert name == "APP_NAME='replace-me'"
    assert "replace-me" not in key + url
    assert key.removeprefix("SECRET_KEY=") not in url


@pytest.mark.parametrize("example", ["", "SECRET_KEY=\n", "SECRET_KEY=replace-me\nSECRET_KEY=replace-me\n"])
def test_fails_loudly_where_the_placeholder_is_not_there_once(post_hook: ModuleType, example: str) -> None:
    """A template that lost its placeholder does not make projects with an empty key."""
    with pytest.raises(post_hook.HookError, match="SECRET_KEY"):
        post_hook.fill_secrets(example, ("SECRET_KEY",))


# The features that an option has for itself, and what its files elsewhere are called.
FEATURES = {
    "browser_pages": ("api_keys_pages", "authorization", "browser", "identity", "pages", "vault_pages"),
    "sample_vault": ("vault", "vault_pages"),
    "api_keys": ("api_keys", "api_keys_pages"),
    "identity_providers": ("identity",),
    "telemetry": ("telemetry",),
}
NAMED = {
    "browser_pages": "browser",
    "sample_vault": "vault",
    "api_keys": "api_keys",
    "identity_providers": "identit",
    "telemetry": "telemetry",
}
SETS = [left_out for count in (1, 2) for left_out in permutations(FEATURES, count)]
EVERY_ANSWER = {**dict.fromkeys(FEATURES, True), "deployment": "kubernetes", "ci": "github"}


def paths(post_hook: ModuleType, prompts: Sequence[str]) -> list[Path]:
    """What the answer "no" to these prompts leaves out."""
    asked = [each for each in ASKED["_options"] if each["prompt"] in FEATURES]
    return list(post_hook.left_out({"_options": asked, **EVERY_ANSWER, **dict.fromkeys(prompts, False)}))


def own(post_hook: ModuleType, prompts: Sequence[str]) -> set[str]:
    """The files of the template that belong to options."""
    gone = paths(post_hook, prompts)
    return {name for name in files_of_the_template() if any(Path(name).is_relative_to(path) for path in gone)}


@pytest.fixture
def project(tmp_path: Path, post_hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the hook finds of the options in a new project, which is the working directory."""
    names = {path.relative_to(TEMPLATE).as_posix() for path in (TEMPLATE / "migrations" / "versions").glob("*.py")}
    for name in names | own(post_hook, list(FEATURES)) | set(post_hook.LISTS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((TEMPLATE / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def remove(post_hook: ModuleType, prompts: Sequence[str]) -> None:
    """Remove options, as the hook does."""
    gone = paths(post_hook, prompts)
    post_hook.remove(gone, post_hook.own_files(gone))


def contents(project: Path) -> dict[str, bytes]:
    """Every file with what is in it."""
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_each_answer_leaves_out_what_belongs_to_the_others(post_hook: ModuleType) -> None:
    """A file stays if the answer is one of those that it is for."""
    options = [
        {"prompt": "deployment", "answers": ["docker", "kubernetes"], "files": ["Dockerfile"]},
        {"prompt": "deployment", "answers": ["kubernetes"], "files": ["deploy/kubernetes"]},
        {"prompt": "browser_pages", "answers": [True], "files": ["docs/pages.md"]},
    ]

    def left_out(deployment: str, *, pages: bool) -> list[str]:
        answers = {"_options": options, "deployment": deployment, "browser_pages": pages}
        return [path.as_posix() for path in post_hook.left_out(answers)]

    assert left_out("kubernetes", pages=True) == []
    assert left_out("docker", pages=True) == ["deploy/kubernetes"]
    assert left_out("none", pages=False) == ["Dockerfile", "deploy/kubernetes", "docs/pages.md"]


@pytest.mark.parametrize("left_out", SETS, ids="-".join)
def test_removes_options_and_their_empty_folders(
    post_hook: ModuleType, project: Path, left_out: tuple[str, ...]
) -> None:
    """In any order: files are gone, lines are gone from the others, and a second time there is nothing to remove."""
    before, gone = contents(project), own(post_hook, left_out)
    remove(post_hook, left_out)
    left = contents(project)
    assert set(left) == set(before) - gone
    names = [name for prompt in left_out for name in FEATURES[prompt]]
    assert len(left["app/features/installed.py"]) < len(before["app/features/installed.py"])
    for path in post_hook.LISTS:
        assert not re.search(rf"features[./]({'|'.join(names)})\b|\| ({'|'.join(names)}) \|", left[path].decode()), path
    assert all(any(folder.iterdir()) for folder in project.rglob("*") if folder.is_dir())
    for prompt in left_out:
        with pytest.raises(post_hook.HookError, match="cannot be removed"):
            remove(post_hook, [prompt])
    assert contents(project) == left


def test_the_order_makes_no_difference(post_hook: ModuleType, project: Path) -> None:
    """Whichever of them comes first, what is left is the same."""
    before, results = contents(project), []
    for options in permutations(FEATURES):
        for name, text in before.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_bytes(text)
        remove(post_hook, options)
        results.append(contents(project))
    assert results == [results[0]] * len(results)


def test_leaves_what_the_user_put_beside_it(post_hook: ModuleType, project: Path) -> None:
    """Rendering over a project removes no file that the template did not bring."""
    own = [project / folder / "mine.py" for folder in ("app/features/vault", "app/features/pages/kit/static")]
    gone = paths(post_hook, list(FEATURES))
    files = post_hook.own_files(gone)
    for path in own:
        path.touch()
    post_hook.remove(gone, files)
    assert [list(path.parent.iterdir()) for path in own] == [[path] for path in own]


def test_a_feature_of_the_owner_stays_on_the_list(post_hook: ModuleType, project: Path) -> None:
    """One whose name begins as that of an option does, too."""
    path = project / "app/features/installed.py"
    own = ["from app.features.vault_extra.feature import VAULT_EXTRA\n", "    VAULT_EXTRA,\n"]
    path.write_text(
        path.read_text("utf-8").replace("FEATURES = (\n", f"{own[0]}FEATURES = (\n{own[1]}"), encoding="utf-8"
    )
    remove(post_hook, list(FEATURES))
    assert [line for line in path.read_text("utf-8").splitlines(keepends=True) if "VAULT" in line] == own


def test_fails_loudly_where_something_is_not_there(post_hook: ModuleType, project: Path) -> None:
    """The message names what is missing, and nothing of any option is removed."""
    before = contents(project)
    for name in {path.as_posix() for path in paths(post_hook, list(FEATURES))}:
        Path(name).rename("elsewhere")
        with pytest.raises(post_hook.HookError, match=name):
            remove(post_hook, list(FEATURES))
        Path("elsewhere").rename(name)
    assert contents(project) == before


def test_names_every_file_of_the_options(post_hook: ModuleType) -> None:
    """A file that is added for an option is on its list, and none is on it that is not there."""
    tracked = files_of_the_template()
    for prompt, features in FEATURES.items():
        folders = tuple(f"{place}/features/{name}/" for place in ("app", "tests") for name in features)
        below = {file for file in tracked if file.startswith(folders) or NAMED[prompt] in file}
        assert sorted(below - own(post_hook, [prompt])) == [], f"not on the list of {prompt}"
        assert [path for path in paths(post_hook, [prompt]) if not (TEMPLATE / path).exists()] == [], prompt


def files_of_the_template() -> set[str]:
    """Every file of the rendered project's source that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=TEMPLATE, check=True, capture_output=True).stdout.decode().split("\0")
    return {name for name in names if name and (TEMPLATE / name).is_file()}


def test_configuration_that_the_owner_changed_is_kept_beside(
    post_hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they changed is named, what they added is back in its place, and what is the same is there once."""
    monkeypatch.chdir(tmp_path)
    mine, template = tmp_path / ".before-update" / "1" / "deploy", tmp_path / "deploy"
    for folder, files in {
        mine: {"caddy/Caddyfile": "mine", "nginx.conf": "same", "own.yaml": "own"},
        template: {"caddy/Caddyfile": "new", "nginx.conf": "same"},
    }.items():
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    post_hook.bring_back()
    assert post_hook.keep_beside() == ["deploy/caddy/Caddyfile.before-update"]
    assert {name.removeprefix("deploy/"): text.decode() for name, text in contents(tmp_path).items()} == {
        "caddy/Caddyfile": "new",
        "caddy/Caddyfile.before-update": "mine",
        "nginx.conf": "same",
        "own.yaml": "own",
    }


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an example of settings, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env.example").write_text("SECRET_KEY=replace-me\n", encoding="utf-8")
    return tmp_path


def test_creates_a_private_file_once(post_hook: ModuleType, example: Path) -> None:
    """The second time nothing is touched."""
    path = example / ".env"
    assert post_hook.write_env("sqlite")
    first = path.read_bytes()
    assert not post_hook.write_env("sqlite")
    assert path.read_bytes() == first
    assert path.stat().st_mode & 0o777 == 0o600


def test_follows_no_link(post_hook: ModuleType, example: Path) -> None:
    """A dangling link is something that has the name."""
    (example / ".env").symlink_to(example / "target")
    assert not post_hook.write_env("sqlite")
    assert not (example / "target").exists()


def test_leaves_no_half_file_when_the_disk_is_full(
    post_hook: ModuleType, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that fails leaves nothing behind that would be taken for finished."""

    class FullDisk(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    def full(descriptor: int, _: str) -> FullDisk:
        os.close(descriptor)
        return FullDisk()

    monkeypatch.setattr(post_hook.os, "fdopen", full)
    with pytest.raises(OSError, match="No space"):
        post_hook.write_env("sqlite")
    assert not (example / ".env").exists()


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [(True, {}, True), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False), (False, {}, False)],
    ids=["terminal", "NO_COLOR", "dumb", "pipe"],
)
def test_colour_is_for_terminals_that_want_it(
    post_hook: ModuleType, environment: dict[str, str], *, terminal: bool, wanted: bool
) -> None:
    """https://no-color.org."""
    assert post_hook.wants_colour(environment, terminal=terminal) is wanted


def test_the_next_steps_name_what_to_type(post_hook: ModuleType) -> None:
    """Folder, first command, and the way without make; PostgreSQL needs one more thing."""
    steps = post_hook.next_steps("my-api", "postgresql", [], created=True, colour=False)
    for words in ("cd my-api", "make run", "uv run manage", "give it to the role `app`"):
        assert words in steps
    assert "\x1b" not in steps
    assert "\x1b[1m" in post_hook.next_steps("my-api", "sqlite", [], created=True, colour=True)
