"""The template's own workflows and papers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.baked import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def tool(name: str) -> str:
    """A program that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


@pytest.mark.parametrize(
    "command", [["actionlint"], ["zizmor", "--offline", "--no-progress"]], ids=["actionlint", "zizmor"]
)
def test_the_linters_of_workflows_find_nothing(command: list[str]) -> None:
    """Neither a mistake nor a hole."""
    done = subprocess.run(
        [tool(command[0]), *command[1:], *map(str, WORKFLOWS)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_permissions_least(path: Path) -> None:
    """Each action by its commit; the token may read the content and nothing else."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert all(PINNED.fullmatch(action) for action in used)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())


def test_the_links_between_the_papers_lead_somewhere() -> None:
    """Every file that README, CONTRIBUTING or an ADR names in backticks exists."""
    papers = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs" / "decisions").glob("*.md")]
    named = {
        name
        for paper in papers
        for name in re.findall(
            r"`((?:docs|tests|templates|scripts|hooks)/[\w./-]*)`", paper.read_text(encoding="utf-8")
        )
    }
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
