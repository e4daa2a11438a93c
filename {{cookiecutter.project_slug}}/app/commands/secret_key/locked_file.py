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
        self._stat, self.content = self._read()

    @property
    def modified_at(self) -> datetime:
        """Return when the content last changed."""
        return datetime.fromtimestamp(self._stat.st_mtime, UTC)

    def replace(self, content: bytes) -> None:
        """Replace the content, with the same owner and mode; raises `LockedFileError`."""
        with _in_words():
            # Under the lock, a file that is there was left by a process that was killed.
            self._remove_beside()
            try:
                self._write_beside(content)
                self._require_unchanged()
                os.replace(self._beside, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            except BaseException:
                self._remove_beside()
                raise
            os.fsync(self._folder)

    def _remove_beside(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._beside, dir_fd=self._folder)

    def _require_unchanged(self) -> None:
        now = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        if _version(now) != _version(self._stat):
            raise LockedFileError("was changed by something else meanwhile: run this again")

    def _write_beside(self, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._beside, flags, _OWNER_ONLY, dir_fd=self._folder), "wb") as file:
            file.write(content)
            file.flush()
            made = os.fstat(file.fileno())
            if (made.st_uid, made.st_gid) != (self._stat.st_uid, self._stat.st_gid):
                os.fchown(file.fileno(), self._stat.st_uid, self._stat.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(self._stat.st_mode))
            os.fsync(file.fileno())

    def _read(self) -> tuple[os.stat_result, bytes]:
        # Opened for writing too: a file that may not be written is not replaced either.
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        if stat.S_ISLNK(os.stat(self._name, dir_fd=self._folder, follow_symlinks=False).st_mode):
            raise LockedFileError("is a symbolic link: run this where the file itself is")
        with os.fdopen(os.open(self._name, flags, dir_fd=self._folder), "rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise LockedFileError("is not a plain file with one name")
            return found, file.readall()


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
    except BlockingIOError:
        problem = "is being replaced by another process: wait until it has ended"
    except OSError as error:
        problem = f"cannot be replaced ({error.strerror or 'input or output error'})"
    else:
        return
    raise LockedFileError(problem)


def _version(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size
