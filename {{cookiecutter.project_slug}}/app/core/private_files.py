"""Folders and files for their owner alone (on Windows, with the rights of their folder), and the file of SQLite."""

import os
import stat
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.engine import make_url

_making = threading.Lock()


def make_private_folder(folder: Path) -> None:
    """Make the folder, and those above it that are missing. One that is there stays as it is."""
    if not folder.parent.exists():
        make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make the file, empty, if it is missing; what is in the way shows when it is opened.

    SQLite gives its journals the mode of the file. Call it before every `sqlite3.connect` of the file, because closing
    a file ends the locks that this process has on it.
    """
    with _making, suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def readable_by_others(paths: Iterable[Path]) -> bool:
    """Return whether there is a file that its own mode and that of its folder let other users of this machine read."""
    return sys.platform != "win32" and any(map(_is_open, paths))


def _is_open(path: Path) -> bool:
    try:
        file, folder = path.stat().st_mode, path.parent.stat().st_mode
    except OSError:  # a journal that is gone meanwhile
        return False
    return stat.S_ISREG(file) and any(file & 0o4 << who and folder & 0o1 << who for who in (0, 3))  # all, the group


def sqlite_path(database_url: SecretStr) -> Path | None:
    """Return the absolute path of the file; None for another database."""
    url = make_url(database_url.get_secret_value())
    return Path(url.database).absolute() if url.get_backend_name() == "sqlite" and url.database else None


def sqlite_file_problem(path: Path, *, migrates: bool) -> str | None:
    """Say what is wrong with the file or its folder, which SQLite writes to; with `migrates`, that may be missing."""
    folder = path.parent
    found = next(parent for parent in path.parents if os.access(parent, os.F_OK))
    if not found.is_dir():
        return f"{found} is not a folder"
    if found != folder and not os.access(found, os.W_OK | os.X_OK):
        return f"the folder {folder} does not exist, and this user cannot make it in {found}"
    if found != folder:
        return None if migrates else f"the folder {folder} does not exist: run `manage migrate`"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return f"this user cannot write to the folder {folder}"
    if path.is_dir():
        return f"{path} is a folder"
    readable = not os.access(path, os.F_OK) or os.access(path, os.R_OK | os.W_OK)
    return None if readable else f"this user cannot write to {path}"
