"""Where the template can come from: a path, `gh:org/repo`, and an update by cruft."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.baked import ROOT, TEMPLATE
from tests.cli import SLUG


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A bare repository with what stands here, in the place of `org/repo`."""
    bare, work = tmp_path / "server" / "org" / "repo.git", tmp_path / "work"
    work.mkdir()
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    for name in filter(None, files.decode().split("\0")):
        if (ROOT / name).is_file():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes((ROOT / name).read_bytes())
    git(work, "init", "--quiet", "--initial-branch=main")
    commit(work, "One")
    subprocess.run(["git", "clone", "--quiet", "--bare", str(work), str(bare)], check=True)
    git(work, "remote", "add", "origin", str(bare))
    return bare


def git(folder: Path, *arguments: str) -> None:
    """Run git as somebody."""
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, message: str) -> None:
    """Commit everything."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def config_for(tmp_path: Path) -> Path:
    """A user's configuration that maps `gh` to the local server, and keeps out of the home."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"abbreviations:\n  gh: file://{tmp_path.as_posix()}/server/{{0}}.git\n"
        f"cookiecutters_dir: {tmp_path.as_posix()}/cookiecutters\nreplay_dir: {tmp_path.as_posix()}/replay\n",
        encoding="utf-8",
    )
    return config


def test_renders_from_gh_org_repo(tmp_path: Path, repository: Path) -> None:
    """What users type works, from a clone, without anything that is not committed."""
    assert repository.is_dir()
    options = ["--no-input", "--config-file", str(config_for(tmp_path)), "-o", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "cookiecutter", *options, "gh:org/repo"], check=True, capture_output=True)
    assert (tmp_path / SLUG / ".env").is_file()
    assert (tmp_path / SLUG / "app" / "main.py").is_file()


def test_cruft_updates_the_code_and_leaves_the_secret_key(tmp_path: Path, repository: Path) -> None:
    """A change of the template arrives, `.env` stays byte for byte."""
    config = str(config_for(tmp_path))
    cruft = [sys.executable, "-m", "cruft"]
    subprocess.run(
        [
            *cruft,
            "create",
            f"file://{repository}",
            "--no-input",
            "--config-file",
            config,
            "--output-dir",
            str(tmp_path),
        ],
        check=True,
        capture_output=True,
    )
    project = tmp_path / SLUG
    git(project, "init", "--quiet")
    commit(project, "Mine")
    kept = (project / ".env").read_bytes()
    work = tmp_path / "work"
    changed = work / "{{cookiecutter.project_slug}}" / "app" / "core" / "clock.py"
    changed.write_text(changed.read_text(encoding="utf-8") + "\n# changed in the template\n", encoding="utf-8")
    commit(work, "Two")
    git(work, "push", "--quiet", "origin", "main")
    subprocess.run([*cruft, "update", "--skip-apply-ask"], cwd=project, check=True, capture_output=True)
    assert "changed in the template" in (project / "app" / "core" / "clock.py").read_text(encoding="utf-8")
    assert (project / ".env").read_bytes() == kept
    assert not list(project.rglob("*.rej"))
    state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert kept.decode().split("SECRET_KEY=")[1].split()[0] not in json.dumps(state)


def test_the_readme_gives_cruft_an_address_that_git_knows() -> None:
    """Cookiecutter alone knows `gh:`; git takes it for the name of a machine."""
    addresses = re.findall(r"`cruft (?:create|link)[^`]* (\S+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert addresses == ["https://github.com/org/repo"] * 2


def test_no_group_of_a_pattern_is_possessive() -> None:
    """Python 3.11 before 3.11.5, as in Debian 12, matches them wrongly: names were refused, and secrets cut short."""
    possessive = re.compile(r"\)(?:[*+?]|\{+[0-9,]+\}+)\+")
    files = [path for folder in (TEMPLATE / "app", ROOT / "hooks") for path in folder.rglob("*.py")]
    assert len(files) > 200
    assert [path.name for path in files if possessive.search(path.read_text(encoding="utf-8"))] == []
