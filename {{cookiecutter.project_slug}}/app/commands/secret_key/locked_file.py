"""Replace a file atomically, by one process at a time: a reader sees one whole version, also if the writer is killed.

The lock is on the folder, because the file is replaced. Paths are relative to the open folder, and no link is followed.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

_OWNER_ONLY = 0o600


class LockedFileError(Exception):
    """The file cannot be replaced. The message says why and shows nothing of its content."""


class LockedFile:
    """The file as it was read. No other process that takes the lock replaces it."""

    def __init__(self, folder: int, name: str) -> None:
        self._folder = folder
        self._name = name
        self._beside = f"{name}.replacement"
        self.replaced = False
        if stat.S_ISLNK(self._now().st_mode):
            raise LockedFileError("is a symbolic link: run this where the file itself is")
        # Opened for writing too: a file that may not be written is not replaced either.
        with self._open(name, os.O_RDWR | os.O_NONBLOCK, "rb") as file:
            self._stat = os.fstat(file.fileno())
            if not stat.S_ISREG(self._stat.st_mode) or self._stat.st_nlink != 1:
                raise LockedFileError("is not a plain file with one name")
            self.content: bytes = file.read()
        self.modified_at = datetime.fromtimestamp(self._stat.st_mtime, UTC)

    def replace(self, content: bytes) -> None:
        """Replace the content, with the same owner and mode; raises `LockedFileError`."""
        with _in_words():
            # Under the lock, a file that is there was left by a process that was killed.
            self._remove_beside()
            try:
                self._write_beside(content)
                os.replace(self._beside, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            except BaseException:
                self._remove_beside()
                raise
            os.fsync(self._folder)
        self.replaced = True

    def _now(self) -> os.stat_result:
        return os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)

    def _open(self, name: str, flags: int, mode: str) -> IO[bytes]:
        return os.fdopen(os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, _OWNER_ONLY, dir_fd=self._folder), mode)

    def _remove_beside(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._beside, dir_fd=self._folder)

    def _write_beside(self, content: bytes) -> None:
        """Write the next version, unless this one was changed meanwhile."""
        with self._open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(file.fileno(), self._stat.st_uid, self._stat.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(self._stat.st_mode))
            os.fsync(file.fileno())
        if _version(self._now()) != _version(self._stat):
            raise LockedFileError("was changed by something else meanwhile: run this again")


@contextmanager
def locked_file(path: Path) -> Iterator[LockedFile]:
    """Read the file under the lock, which ends with the block; raises `LockedFileError`."""
    if sys.platform == "win32":
        raise LockedFileError("cannot be replaced in one step on Windows")
    with ExitStack() as stack:
        with _in_words():
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file = LockedFile(folder, path.name)
        yield file


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except BlockingIOError as error:
        raise LockedFileError("is being replaced by another process: wait until it has ended") from error
    except OSError as error:
        raise LockedFileError(f"cannot be replaced ({error.strerror or 'input or output error'})") from error


def _version(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size
