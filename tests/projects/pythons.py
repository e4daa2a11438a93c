"""The Pythons of this machine."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = (3, 11)
_PROGRAM = re.compile(r"python(3)\.(\d+)(?:\.exe)?")
_IS_FINISHED = "import sys; sys.exit(sys.version_info.releaselevel != 'final' or sys.implementation.name != 'cpython')"


def further_pythons() -> dict[str, str]:
    """Programs by their version, one for each that a project is for; the one that runs this where there is no other."""
    own = sys.version_info[:2]
    found: dict[tuple[int, int], str] = {}
    for version, program in _programs():
        if version >= OLDEST and version not in {own, *found} and _runs(program):
            found[version] = str(program)
    return {".".join(map(str, version)): found[version] for version in sorted(found)} or {
        ".".join(map(str, own)): sys.executable
    }


def _programs() -> Iterator[tuple[tuple[int, int], Path]]:
    """Whatever is called like a Python, with its version: where pyenv and uv keep theirs, and on PATH."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local" / "share" / "uv" / "python")
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for folder in (*pyenv.glob("versions/*/bin"), *uv.glob("*/bin"), *folders):
        for path in folder.iterdir() if folder.is_dir() else ():
            if named := _PROGRAM.fullmatch(path.name):
                yield (int(named[1]), int(named[2])), path


def _runs(program: Path) -> bool:
    """Whether it is a finished CPython, and not one that pyenv only stands in for."""
    try:
        return (
            subprocess.run([program, "-c", _IS_FINISHED], capture_output=True, check=False, timeout=30).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
