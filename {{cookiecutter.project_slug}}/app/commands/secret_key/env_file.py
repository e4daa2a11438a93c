"""The file `.env`: replaced by one process at a time, with other keys in its text, and every other byte as it was.

A reader sees one whole version, also if the writer is killed. The lock is on the folder, because the file is replaced.
No link is followed. A value is replaced as it is written, in its quotes. dotenv's own parser reads the result again: a
change with any other effect is not made. No message shows a value.
"""

import codecs
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from app.core.settings.model import MAX_SECRET_BYTES

if sys.platform != "win32":
    import fcntl

KEY, FALLBACKS = "secret_key", "secret_key_fallbacks"

_HEAD = re.compile(r"""[^=]*=(?:[^\S\r\n]*['"])?""")  # what is before a value, with its quote


class EnvFileError(Exception):
    """`.env` cannot be changed as it should. The message says why and shows no value."""


class LockedFile:
    """The file as it was read. No other process that takes the lock replaces it."""

    def __init__(self, path: Path, folder: int) -> None:
        self._path, self._folder, self._beside = path, folder, path.with_name(f"{path.name}.replacement")
        self.replaced = False
        if path.is_symlink():
            raise EnvFileError("is a symbolic link: run this where the file itself is")
        # Opened for writing too: a file that may not be written is not replaced either.
        with open(path, "r+b", opener=_open) as file:
            self._stat = os.fstat(file.fileno())
            if not stat.S_ISREG(self._stat.st_mode) or self._stat.st_nlink != 1:
                raise EnvFileError("is not a plain file with one name")
            self.content = file.read()
        self.modified_at = datetime.fromtimestamp(self._stat.st_mtime, UTC)

    def replace(self, content: bytes) -> None:
        """Replace the content, with the same owner and mode; raises `EnvFileError`, also if others changed it."""
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
                raise EnvFileError("was changed by something else meanwhile: run this again")
            self._beside.replace(self._path)
            os.fsync(self._folder)
        self.replaced = True


@contextmanager
def locked_file(path: Path) -> Iterator[LockedFile]:
    """Read the file under the lock, which ends with the block; raises `EnvFileError`."""
    if sys.platform == "win32":
        raise EnvFileError("cannot be replaced in one step on Windows")
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
        raise EnvFileError("is being replaced by another process: wait until it has ended") from error
    except OSError as error:
        raise EnvFileError(f"cannot be replaced ({error.strerror or 'input or output error'})") from error


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def _version(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size


def with_new_key(content: bytes, key: str) -> bytes:
    """Put in another `SECRET_KEY`, and the one before first in `SECRET_KEY_FALLBACKS`; raises `EnvFileError`."""
    lines, before = _lines(content), _values(content)
    if KEY not in lines:
        raise EnvFileError("has no line that sets SECRET_KEY")
    head, old, tail = lines[KEY]
    changed = {KEY: f"{head}{key}{tail}"}
    if FALLBACKS in lines:
        first, older, last = lines[FALLBACKS]
        changed[FALLBACKS] = f"{first}{','.join(filter(None, (old, older)))}{last}"
    else:
        end = "" if tail.endswith(("\n", "\r")) else "\r\n" if b"\r\n" in content else "\n"
        changed[KEY] += end + re.sub(
            KEY, FALLBACKS.upper(), f"{head}{old}{tail}".lstrip(), count=1, flags=re.IGNORECASE
        )
    return _changed(content, changed, {KEY: key, FALLBACKS: ",".join(filter(None, map(before.get, (KEY, FALLBACKS))))})


def without_fallbacks(content: bytes) -> bytes:
    """Empty `SECRET_KEY_FALLBACKS`; raises `EnvFileError`."""
    changed = {name: f"{head}{tail}" for name, (head, _, tail) in _lines(content).items() if name == FALLBACKS}
    return _changed(content, changed, {FALLBACKS: ""})


def _lines(content: bytes) -> dict[str, tuple[str, str, str]]:
    """Return the line of each key: what is before its value, the value as it is written, what follows."""
    lines: dict[str, tuple[str, str, str]] = {}
    for binding in parse_stream(StringIO(_text(content))):
        name, line, value = (binding.key or "").lower(), binding.original.string, binding.value or ""
        if name in lines:
            raise EnvFileError(f"has 2 lines that set {name.upper()}: leave one")
        if name in {KEY, FALLBACKS}:
            head = _HEAD.match(line)
            start = line.find(value, head.end()) if head else -1
            if start < 0:
                raise EnvFileError("has a line of a key that is not of the form NAME=value, without escapes")
            lines[name] = line[:start], value, line[start + len(value) :]
    return lines


def _changed(content: bytes, changed: dict[str, str], wanted: dict[str, str]) -> bytes:
    """Return the file with the changed lines if it has the wanted values, and all others as before."""
    bindings = parse_stream(StringIO(_text(content)))
    text = "".join(changed.get((binding.key or "").lower(), binding.original.string) for binding in bindings)
    after = (codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b"") + text.encode()
    if _values(after) != {name: value for name, value in (_values(content) | wanted).items() if value}:
        raise EnvFileError(
            "has a value that is made of a key, or a key that cannot be moved as it is written: change it by hand"
        )
    if len(after) > MAX_SECRET_BYTES:
        raise EnvFileError(f"would be larger than {MAX_SECRET_BYTES} bytes: retire the earlier keys first")
    return after


def _values(content: bytes) -> dict[str, str]:
    """Return what the settings read: a value that is empty counts as unset."""
    return {name.lower(): value for name, value in dotenv_values(stream=StringIO(_text(content))).items() if value}


def _text(content: bytes) -> str:
    with suppress(UnicodeDecodeError):
        return content.decode("utf-8-sig")
    # Raised here, outside of the block: an exception in the chain would carry the content.
    raise EnvFileError("is not UTF-8 text")
