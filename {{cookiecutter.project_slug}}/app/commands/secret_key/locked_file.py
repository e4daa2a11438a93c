"""Replace a file atomically, by one process at a time: a reader sees one whole version, also if the writer is killed.

The lock is on the folder, because the file is replaced. No link is followed.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class LockedFileError(Exception):
    """The file cannot be replaced. The message says why and shows nothing of its content."""


class LockedFile:
    """The file as it was read. No other process that takes the lock replaces it."""

    def __init__(self, path: Path, folder: int) -> None:
        self._path, self._folder, self._beside = path, folder, path.with_name(f"{path.name}.replacement")
        self.replaced = False
        if path.is_symlink():
            raise LockedFileError("is a symbolic link: run this where the file itself is")
        # Opened for writing too: a file that may not be written is not replaced either.
        with open(path, "r+b", opener=_open) as file:
            self._stat = os.fstat(file.fileno())
            if not stat.S_ISREG(self._stat.st_mode) or self._stat.st_nlink != 1:
                raise LockedFileError("is not a plain file with one name")
            self.content = file.read()
        self.modified_at = datetime.fromtimestamp(self._stat.st_mtime, UTC)

    def replace(self, content: bytes) -> None:
        """Replace the content, with the same owner and mode; raises `LockedFileError`, also if others changed it."""
        with _in_words(), ExitStack() as stack:
            # Under the lock, a file that is there was left by a process that was killed.
            self._beside.unlink(missing_ok=True)
            stack.callback(self._beside.unlink, missing_ok=True)
            with open(self._beside, "xb", opener=_open) as file:
                file.write(content)
                file.flush()
                os.fchown(file.fileno(), self._stat.st_uid, self._stat.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(self._stat.st_mode))
                os.fsync(file.fileno())
            if _version(self._path.lstat()) != _version(self._stat):
                raise LockedFileError("was changed by something else meanwhile: run this again")
            self._beside.replace(self._path)
            os.fsync(self._folder)
        self.replaced = True


@contextmanager
def locked_file(path: Path) -> Iterator[LockedFile]:
    """Read the file under the lock, which ends with the block; raises `LockedFileError`."""
    if sys.platform == "win32":
        raise LockedFileError("cannot be replaced in one step on Windows")
    with ExitStack() as stack:
        with _in_words():
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, folder)
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file = LockedFile(path, folder)
        yield file


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except BlockingIOError as error:
        raise LockedFileError("is being replaced by another process: wait until it has ended") from error
    except OSError as error:
        raise LockedFileError(f"cannot be replaced ({error.strerror or 'input or output error'})") from error


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def _version(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size
