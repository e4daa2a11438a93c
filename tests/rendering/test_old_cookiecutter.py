"""A Cookiecutter that is too old says which version this template needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.baked import ROOT


@pytest.mark.parametrize("version", ["1.7.3", "2.1.1"], ids=["debian-12", "the last one that is too old"])
def test_an_old_cookiecutter_says_which_one_is_needed(tmp_path: Path, version: str) -> None:
    """One message, instead of complaints about answers that nobody gave; no file stays."""
    uv, place, out = Path(sys.executable).with_name("uv"), tmp_path / "venv", tmp_path / "out"
    out.mkdir()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, place], check=True)
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    # Cookiecutter 1.7 does not say that it needs setuptools, which its dependencies import.
    wanted = [f"cookiecutter=={version}", "setuptools<80"]
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *wanted], check=True)
    done = subprocess.run(
        [python, "-W", "ignore", "-m", "cookiecutter", "--no-input", "-o", out, ROOT],
        env={**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"ERROR: this template needs Cookiecutter 2.2 or newer, and this is {version}" in said
    assert said.count("ERROR: ") == 2, said  # Cookiecutter's own says that the hook has stopped it
    assert not any(out.iterdir())
