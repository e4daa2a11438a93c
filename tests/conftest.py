"""Fixtures: the template is baked once for each set of answers that tests only look at."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scripts.memory import memory_folder
from tests.baked import ROOT, BakedProject

pytest_plugins = ["tests.cli", "tests.hooks.owner"]

Bake = Callable[..., BakedProject]
Refused = Callable[..., list[str]]
Cookiecutter = Callable[..., "subprocess.CompletedProcess[str]"]

# A run makes two environments of half a gigabyte each.
ENOUGH = 4 * 1024**3


def pytest_configure() -> None:
    """Write into memory where there is enough of it, unless `TMPDIR` says where to; for what is started here too."""
    folder = memory_folder(free=ENOUGH)
    if folder is not None and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


@pytest.fixture(scope="session")
def bake(
    cookies_session: Any,  # noqa: ANN401  # the class of pytest-cookies is not typed
    tmp_path_factory: pytest.TempPathFactory,
) -> Bake:
    """Bake with answers, once for each; the project is to be looked at, and not to be changed."""
    baked: dict[frozenset[tuple[str, str]], BakedProject] = {}
    # Cookiecutter leaves every hook that it has rendered in the temporary folder.
    hooks = tmp_path_factory.mktemp("hooks")

    def bake_once(**answers: str) -> BakedProject:
        key = frozenset(answers.items())
        if key not in baked:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tempfile, "tempdir", str(hooks))
                result = cookies_session.bake(extra_context=answers)
            assert result.exception is None, result.exception
            baked[key] = BakedProject(Path(result.project_path), answers)
        return baked[key]

    return bake_once


@pytest.fixture
def cookiecutter(tmp_path: Path) -> Cookiecutter:
    """The command `cookiecutter`, with its own home, output folder and temporary folder under `tmp_path`."""
    for name in ("home", "out", "temp"):
        (tmp_path / name).mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(f"cookiecutters_dir: {tmp_path / 'home'}\nreplay_dir: {tmp_path / 'home'}\n", encoding="utf-8")

    def run(
        *options: str,
        answers: Mapping[str, str] | None = None,
        typed: str | None = None,
        environment: Mapping[str, str] | None = None,
        template: str = str(ROOT),
    ) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "cookiecutter", "--config-file", str(config), "-o", str(tmp_path / "out")]
        command += [*options] if typed is not None else ["--no-input", *options]
        command += [template, *(f"{key}={value}" for key, value in (answers or {}).items())]
        return subprocess.run(
            command,
            input=typed,
            capture_output=True,
            encoding="utf-8",
            check=False,
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(tmp_path / "temp"), "PYTHONUTF8": "1", **(environment or {})},
        )

    return run


@pytest.fixture
def refused(cookiecutter: Cookiecutter, tmp_path: Path) -> Refused:
    """Bake with answers that must be refused: what the hook said, after nothing was found left on disk."""

    def run(**answers: str) -> list[str]:
        before = sorted(path.name for path in tmp_path.iterdir())
        done = cookiecutter(answers=answers)
        assert done.returncode != 0, answers
        assert list((tmp_path / "out").iterdir()) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        return [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]

    return run


def _load(name: str) -> ModuleType:
    """A hook as a module. It is Python before it is rendered, too."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "hooks" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pre_hook() -> ModuleType:
    """The functions of `hooks/pre_gen_project.py`."""
    return _load("pre_gen_project")


@pytest.fixture(scope="session")
def post_hook() -> ModuleType:
    """The functions of `hooks/post_gen_project.py`."""
    return _load("post_gen_project")
