"""The file of SQLite: why it cannot be used, in words that name its path."""

import os
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.engine import make_url


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
    if path.is_dir():
        return f"{path} is a folder"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return f"this user cannot write to the folder {folder}"
    readable = not os.access(path, os.F_OK) or os.access(path, os.R_OK | os.W_OK)
    return None if readable else f"this user cannot write to {path}"
