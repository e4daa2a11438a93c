"""How the template renders: code as it stands, and quickly."""

import ast
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from scripts.bench import measure
from scripts.trees import ASKED, expected
from tests.baked import ROOT, TEMPLATE
from tests.cli import Baked, bake_into


@pytest.mark.parametrize("path", sorted(TEMPLATE.rglob("*.py")), ids=lambda path: path.relative_to(TEMPLATE).as_posix())
def test_the_code_of_the_template_is_plain_python(path: Path) -> None:
    """Code is copied, not rendered: it parses where it stands, and holds no Jinja."""
    source = path.read_text(encoding="utf-8")
    ast.parse(source)
    assert "{%" not in source
    assert "cookiecutter" not in source


def test_all_but_the_skin_is_copied_byte_for_byte(tmp_path: Path) -> None:
    """What is tested in the template is what the user gets, of whom nothing is left out; only the skin is rendered."""
    everything = {"identity_providers": "yes", "telemetry": "yes"}
    project = bake_into(tmp_path, everything).project
    copied = [TEMPLATE / name for name in ASKED["_copy_without_render"]]
    here = {TEMPLATE / name for name in expected(everything)}
    for path in here:
        if any(path.is_relative_to(each) for each in copied):
            assert (project / path.relative_to(TEMPLATE)).read_bytes() == path.read_bytes()


def test_no_message_of_the_code_would_install_development_tools() -> None:
    """`uv run` installs them, and a message may be read in production: it says `manage …`."""
    assert [path for path in (TEMPLATE / "app").rglob("*.py") if "uv run manage" in path.read_text("utf-8")] == []


def test_package_indexes_are_called_by_their_names(default: Baked) -> None:
    """PyPI, and not the host that it has today: whoever uses a mirror asks another one. Images have no other name."""
    host = re.compile(
        r"\b(pypi|npmjs|debian|crates|docker|ghcr|quay)\.(org|com|io|python\.org)\b|pythonhosted", re.IGNORECASE
    )
    papers = [ROOT / "README.md", ROOT / "Makefile", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    files = [
        path for path in default.project.rglob("*") if path.is_file() and not {"static", "Dockerfile"} & {*path.parts}
    ]
    assert [path for path in (*papers, *files) if host.search(path.read_bytes().decode("utf-8", "replace"))] == []


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes, once."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


@pytest.mark.rendered  # runs alone: what runs beside it would be measured too
def test_rendering_is_quick(
    default: Baked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bake, hooks and all, takes at most three times what copying its files and starting Python twice do.

    Each is the quickest of several, taken in turns: a busy machine is not a slow template.
    """
    (tmp_path / "hooks").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "hooks"))  # Cookiecutter leaves them
    rounds = [
        (
            seconds_of(partial(shutil.copytree, default.project, tmp_path / str(number))),
            seconds_of(partial(subprocess.run, [sys.executable, "-c", ""], check=True)),
            min(measure(rounds=1)),
        )
        for number in range(7)
    ]
    copying, starting, baking = (min(times) for times in zip(*rounds, strict=True))
    assert baking <= 3 * (copying + 2 * starting)
    capfd.readouterr()
