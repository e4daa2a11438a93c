"""The secret key: random, in `.env` alone, for its owner alone."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.baked import DATABASES, ROOT
from tests.cli import SLUG, Bake, Baked, bake_into

RENDERS = 200


def secrets_of(project: Path) -> set[str]:
    """Every random value in the project's `.env`."""
    env = dotenv_values(project / ".env", interpolate=False)
    password = re.search(r"://[^:]+:([^@]+)@", env["DATABASE_URL"] or "")
    return {str(env["SECRET_KEY"]), *(password.groups() if password else ())}


@pytest.mark.parametrize("database", DATABASES)
def test_the_secrets_are_in_no_file_but_env_and_not_on_the_terminal(bake_cli: Bake, database: str) -> None:
    """Not in another file of the project, the replay in the home, the rendered hooks in the temp folder, the output."""
    baked = bake_cli(database=database)
    secrets = secrets_of(baked.project)
    assert len(secrets) == (1 if database == "sqlite" else 2)
    place = baked.folder.parent
    searched = [path for path in place.rglob("*") if path.is_file() and path != baked.project / ".env"]
    assert any(path.suffix == ".json" and "replay" in str(path) for path in searched)
    for secret in secrets:
        assert len(secret) >= 86  # 512 bits in base64
        assert secret not in baked.terminal
        assert [path for path in searched if secret.encode() in path.read_bytes()] == []


def test_git_does_not_track_env(bake_cli: Bake) -> None:
    """`git add --all` leaves `.env` out, and takes its example."""
    project = bake_cli().project
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    subprocess.run(["git", "add", "--all"], cwd=project, check=True)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=project, check=True, capture_output=True, text=True
    ).stdout.split()
    assert ".env.example" in tracked
    assert ".env" not in tracked


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_the_owner_can_read_env(bake_cli: Bake, mask: int) -> None:
    """Mode 0600, whatever the umask of the user."""
    before = os.umask(mask)
    try:
        baked = bake_cli()
    finally:
        os.umask(before)
    assert stat.S_IMODE((baked.project / ".env").stat().st_mode) == 0o600


def test_an_existing_env_is_kept_byte_for_byte(tmp_path: Path) -> None:
    """Rendering over a project loses nothing of its configuration."""
    baked = bake_into(tmp_path, {})
    kept = b"SECRET_KEY=mine\r\n# \xff not even UTF-8\n"
    (baked.project / ".env").write_bytes(kept)
    again = bake_into(tmp_path, {}, "--no-input", "--overwrite-if-exists")
    assert again.exit_code == 0, again.terminal
    assert (again.project / ".env").read_bytes() == kept
    assert ".env was there, and stays as it was" in again.terminal


def test_a_link_named_env_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link that waits in the folder does not make the hook write somewhere else."""
    project = tmp_path / "out" / SLUG
    project.mkdir(parents=True)
    target = tmp_path / "elsewhere"
    (project / ".env").symlink_to(target)
    baked = bake_into(tmp_path, {}, "--no-input", "--overwrite-if-exists")
    assert baked.exit_code == 0, baked.terminal
    assert not target.exists()
    assert (project / ".env").is_symlink()


def test_the_hooks_need_no_other_program_and_no_network(bake_cli: Bake) -> None:
    """With nothing on PATH and every proxy dead, the project is made all the same."""
    dead = "http://127.0.0.1:9"
    environment = {"PATH": "", "http_proxy": dead, "https_proxy": dead, "ALL_PROXY": dead}
    baked = bake_cli(environment=environment)
    assert baked.exit_code == 0, baked.terminal
    assert (baked.project / ".env").is_file()


def test_a_module_in_the_temporary_folder_is_not_imported(tmp_path: Path) -> None:
    """Cookiecutter runs the hooks there, and on a machine of several users anybody can write there."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    for name in ("collections", "itertools", "json", "keyword", "pathlib", "re", "secrets", "stat", "unicodedata"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / name)!r}, 'w')\n", encoding="utf-8")
    baked = bake_into(tmp_path, {})
    assert baked.exit_code == 0, baked.terminal
    assert {path.name for path in tmp_path.iterdir()} == {"home", "out", "tmp"}


def test_two_hundred_renders_give_two_hundred_keys(default: Baked) -> None:
    """The hook, run 200 times in folders of their own, never draws a key twice."""
    folder = default.folder.parent / "many"
    example = (default.project / ".env.example").read_bytes()
    hook = (ROOT / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")
    answers = '{"project_slug": "my-secure-api", "database": "sqlite", "_options": []}'
    rendered = folder / "hook.py"
    folder.mkdir()
    rendered.write_text(hook.replace("{{ cookiecutter | tojson }}", answers), encoding="utf-8")
    keys = set()
    for number in range(RENDERS):
        place = folder / str(number)
        place.mkdir()
        (place / ".env.example").write_bytes(example)
    code = (
        "import os, runpy, sys\n"
        f"for number in range({RENDERS}):\n"
        f"    os.chdir(os.path.join({str(folder)!r}, str(number)))\n"
        f"    try: runpy.run_path({str(rendered)!r}, run_name='__main__')\n"
        "    except SystemExit as end: assert end.code == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    for number in range(RENDERS):
        keys |= secrets_of(folder / str(number))
    assert len(keys) == RENDERS


def test_the_terminal_gets_colour_only_where_it_wants_it(bake_cli: Bake) -> None:
    """No escape sequence where the output is no terminal."""
    baked = bake_cli(environment={"NO_COLOR": ""})
    assert "\x1b" not in baked.terminal
    assert "cd my-secure-api" in baked.terminal
