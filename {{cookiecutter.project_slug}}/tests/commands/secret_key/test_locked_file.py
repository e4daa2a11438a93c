"""A file that is replaced whole, by one process at a time."""

import os
import random
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from dotenv import dotenv_values

from app.commands.secret_key.env_file import EnvFileError, locked_file
from tests.support.processes.server import PROJECT

NOBODY = 65534
# Rotates the key without a pause until it is killed.
ROTATE_FOR_EVER = """
import secrets, sys
from pathlib import Path
from app.commands.secret_key.env_file import locked_file, with_new_key

while True:
    with locked_file(Path(sys.argv[1])) as file:
        file.replace(with_new_key(file.content, secrets.token_urlsafe(64)))
    print("rotated", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds something."""
    path = tmp_path / "settings.env"
    path.write_bytes(b"before")
    return path


def replace(path: Path, content: bytes = b"after") -> None:
    """Replace it, as the command does."""
    with locked_file(path) as file:
        file.replace(content)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be nobody in particular, where the tests run as root, whom no mode stops."""
    before = os.geteuid()
    if not before:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.asvs("13.3.2")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o660])
def test_the_new_version_has_the_mode_and_the_owner_of_the_old_one(path: Path, mode: int) -> None:
    """Whatever the umask is and whoever replaces it: root does not take the file from the service."""
    path.chmod(mode)
    if not os.geteuid():
        os.chown(path, NOBODY, NOBODY)
    before = path.stat()
    umask = os.umask(0o077)
    try:
        replace(path)
    finally:
        os.umask(umask)
    after = path.stat()
    assert path.read_bytes() == b"after"
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_uid, before.st_gid, mode)
    assert after.st_ino != before.st_ino
    assert list(path.parent.iterdir()) == [path]


def test_no_link_is_followed(path: Path) -> None:
    """Neither the file itself, nor what somebody put where the new version is written."""
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(EnvFileError, match="symbolic link"), locked_file(link):
        pass
    beside = path.with_name("settings.env.replacement")
    target = path.with_name("target")
    target.write_bytes(b"untouched")
    beside.symlink_to(target)
    replace(path)
    assert (path.read_bytes(), target.read_bytes()) == (b"after", b"untouched")
    assert not path.is_symlink()


def test_a_link_that_comes_in_between_is_not_followed(path: Path) -> None:
    """Somebody who puts one there all the time, where the new version is written, gets nothing written through it."""
    beside, target = path.with_name("settings.env.replacement"), path.with_name("target")
    target.write_bytes(b"untouched")
    ended = threading.Event()

    def plant() -> None:
        while not ended.is_set():
            with suppress(FileExistsError):
                beside.symlink_to(target)

    planter = threading.Thread(target=plant)
    planter.start()
    try:
        for _ in range(200):
            with suppress(EnvFileError):
                replace(path)
    finally:
        ended.set()
        planter.join()
    assert target.read_bytes() == b"untouched"
    assert not path.is_symlink()


def test_refuses_what_is_no_plain_file(path: Path) -> None:
    """A folder, a pipe, a file with a second name, and none at all."""
    folder, pipe, second = (path.with_name(name) for name in ("folder", "pipe", "second"))
    folder.mkdir()
    os.mkfifo(pipe)
    second.hardlink_to(path)
    for refused in (folder, pipe, second, path.with_name("nothing"), path / "below"):
        with pytest.raises(EnvFileError), locked_file(refused):
            pass


def test_refuses_what_may_not_be_written() -> None:
    """A file of mode 0400, then a folder of mode 0500: in words, and both stay as they are."""
    with tempfile.TemporaryDirectory() as name, without_privileges():
        folder = Path(name) if os.geteuid() == Path(name).stat().st_uid else Path(tempfile.mkdtemp())
        path = folder / ".env"
        path.write_bytes(b"before")
        path.chmod(0o400)
        with pytest.raises(EnvFileError, match="Permission denied"):
            replace(path)
        path.chmod(0o600)
        folder.chmod(0o500)
        with pytest.raises(EnvFileError, match="Permission denied"):
            replace(path)
        assert path.read_bytes() == b"before"
        folder.chmod(0o700)
        path.unlink()
        if str(folder) != name:
            folder.rmdir()


def test_one_at_a_time(path: Path) -> None:
    """A second one is refused at once, and can when the first has ended."""
    with locked_file(path) as file:
        with pytest.raises(EnvFileError, match="another process"):
            replace(path)
        file.replace(b"first")
    replace(path, b"second")
    assert path.read_bytes() == b"second"


def test_what_an_editor_wrote_meanwhile_is_not_lost(path: Path) -> None:
    """The lock binds those who take it; a change by anybody else is seen, and kept."""
    with locked_file(path) as file:
        path.write_bytes(b"edited by hand")
        with pytest.raises(EnvFileError, match="meanwhile"):
            file.replace(b"after")
    assert path.read_bytes() == b"edited by hand"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_of_the_block_is_its_own(path: Path) -> None:
    """Only what concerns the file is told as such."""
    with pytest.raises(ConnectionError), locked_file(path):
        raise ConnectionError


def test_kill_at_any_moment_loses_no_key(tmp_path: Path) -> None:
    """`kill -9`, twenty-five times, amid rotations: the file is whole, private, and has every key there was."""
    path = tmp_path / ".env"
    dice = random.Random(1)  # noqa: S311  # moments, not secrets
    rotations = 0
    for _ in range(25):
        path.write_text(f"# kept\nSECRET_KEY={secrets.token_urlsafe(64)}\nB=2", encoding="utf-8")
        path.chmod(0o600)
        known = keys_in(path)
        told = killed_after(dice.uniform(0, 0.03), path)
        found = keys_in(path)
        assert found[-1:] == known
        assert len(set(found)) == len(found) in {told + 1, told + 2}
        assert path.read_bytes().startswith(b"# kept\nSECRET_KEY=")
        assert path.read_bytes().endswith(b"\nB=2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        rotations += told
    assert rotations > 25
    # What a killed one left behind is no obstacle, and gone after the next.
    replace(path)
    assert list(tmp_path.iterdir()) == [path]


def killed_after(seconds: float, path: Path) -> int:
    """Rotate until the process is killed, that long after the first time: how many rotations it told of."""
    with subprocess.Popen(
        [sys.executable, "-c", ROTATE_FOR_EVER, str(path)],
        env={"PYTHONPATH": str(PROJECT), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read()
    return told.count(b"rotated")


def keys_in(path: Path) -> list[str]:
    """Every key, the current one first."""
    values = dotenv_values(path)
    return [key for key in f"{values['SECRET_KEY']},{values.get('SECRET_KEY_FALLBACKS') or ''}".split(",") if key]
