"""Processes that start warm: a server that has imported the service once forks each of them.

To start Python and import the service takes a second, which a run of all tests would pay hundreds of times. Where the
platform cannot fork, as on Windows, a process starts cold and does the same.
"""

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from app.core.logging.setup import writer

MANAGE = "from app.manage import main; main()"

_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_SECONDS = 60


class Process(Protocol):
    """The part of `subprocess.Popen` that both kinds have."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""

    def kill(self) -> None:
        """End it at once."""


class Files(NamedTuple):
    """What a process reads and writes; what it writes is added at the end."""

    stdin: Path
    out: Path
    err: Path


class Done(NamedTuple):
    """What a process left behind."""

    code: int
    out: str
    err: str


class Command:
    """A command of `manage` that runs; as a context manager it waits for its end.

    What it writes to a `stdout` of the caller's is not kept.
    """

    def __init__(  # noqa: PLR0913  # the parts of a process
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        code: str = MANAGE,
        stdin: bytes | Path = b"",
        stdout: Path | None = None,
    ) -> None:
        self._files = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        given, out, err = (Path(self._files.name) / name for name in ("stdin", "out", "err"))
        if isinstance(stdin, Path):
            given = stdin
        else:
            given.write_bytes(stdin)
        for written in (out, err):
            written.touch()  # it may be killed before it opens them
        self._written = (out, err)
        files = Files(given, stdout or out, err)
        self.process = start(code, arguments, folder=folder, environment=environment, files=files)

    def end(self) -> Done:
        """Wait until it has ended."""
        with self:
            pass
        return self.done

    def __enter__(self) -> Self:
        """The command, which runs."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait until it has ended, and keep what it left in `done`."""
        code = self.process.wait(_SECONDS)
        out, err = (written.read_text(encoding="utf-8") for written in self._written)
        self._files.cleanup()
        self.done = Done(code, out, err)


def start(
    code: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], files: Files
) -> Process:
    """Start a process that runs the code with the arguments, in the folder, with that environment alone."""
    if not _FORKS:
        return start_cold(code, arguments, folder=folder, environment=environment, files=files)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["app.manage", "app.http.server.run", "aiosqlite", "alembic", "tests.support.processes.warmed"]
    )
    process = context.Process(
        target=_become, args=(code, list(arguments), str(folder), dict(environment), files), daemon=True
    )
    process.start()
    return _Forked(process)


def start_cold(
    code: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], files: Files
) -> Process:
    """The same, by a new interpreter."""
    command = [sys.executable, "-c", code, *arguments]
    with files.stdin.open("rb") as stdin, files.out.open("ab") as out, files.err.open("ab") as err:
        return subprocess.Popen(command, cwd=folder, env=dict(environment), stdin=stdin, stdout=out, stderr=err)


class _Forked:
    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process

    def poll(self) -> int | None:
        self._process.join(0)
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _become(code: str, arguments: list[str], folder: str, environment: dict[str, str], files: Files) -> None:
    """In the forked process: put everything in the place where a new process would find it, and run the code."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for target, (path, mode) in enumerate(zip(files, (os.O_RDONLY, _APPEND, _APPEND), strict=True)):
        descriptor = os.open(path, mode)
        os.dup2(descriptor, target)
        os.close(descriptor)
    sys.argv = ["-c", *arguments]
    # Descriptors, for the whole process. What was opened before took them for files.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    try:
        exec(code, {"__name__": "__main__"})  # noqa: S102  # as `python -c` does
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001  # a forked process ends without them
        writer.flush()  # what was registered before the fork is forgotten by some Pythons, such as 3.13


_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT
