"""Processes that start warm: a server that has imported the service once forks each of them.

To start Python and import the service takes a second, which a run of all tests would pay hundreds of times. Where the
platform cannot fork, as on Windows, a process starts cold and does the same.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, Protocol

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
        """Send it a signal."""

    def kill(self) -> None:
        """End it at once."""


class Done(NamedTuple):
    """What a process left behind."""

    code: int
    out: str
    err: str


def start(  # noqa: PLR0913  # what a process is given
    code: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: IO[bytes],
    out: IO[bytes],
    err: IO[bytes],
) -> Process:
    """Start a process that runs the code with the arguments, in the folder, with that environment alone."""
    if not _FORKS:
        return start_cold(code, arguments, folder=folder, environment=environment, stdin=stdin, out=out, err=err)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["app.manage", "app.main", "app.http.server", "uvicorn", "aiosqlite", "alembic"])
    names = tuple(_path_of(stream) for stream in (stdin, out, err))
    process = context.Process(
        target=_become, args=(code, list(arguments), str(folder), dict(environment), names), daemon=True
    )
    process.start()
    return _Forked(process)


def start_cold(  # noqa: PLR0913  # as `start`
    code: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: IO[bytes],
    out: IO[bytes],
    err: IO[bytes],
) -> Process:
    """The same, by a new interpreter."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, cwd=folder, env=dict(environment), stdin=stdin, stdout=out, stderr=err)


def run(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], stdin: bytes = b"", cold: str = ""
) -> Done:
    """Run a command of `manage` to its end; `cold` is code that takes its place, and starts without its imports."""
    with (
        tempfile.NamedTemporaryFile() as given,
        tempfile.NamedTemporaryFile() as out,
        tempfile.NamedTemporaryFile() as err,
    ):
        given.write(stdin)
        given.seek(0)
        begin = start_cold if cold else start
        process = begin(
            cold or MANAGE,
            arguments,
            folder=folder,
            environment=environment,
            stdin=given.file,
            out=out.file,
            err=err.file,
        )
        status = process.wait(_SECONDS)
        return Done(status, Path(out.name).read_text(encoding="utf-8"), Path(err.name).read_text(encoding="utf-8"))


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
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _path_of(stream: IO[bytes]) -> str:
    return str(Path(f"/dev/fd/{stream.fileno()}").resolve()) if isinstance(stream.name, int) else str(stream.name)


def _become(
    code: str, arguments: list[str], folder: str, environment: dict[str, str], names: tuple[str, str, str]
) -> None:
    """In the forked process: put everything in the place where a new process would find it, and run the code."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for target, (name, mode) in enumerate(zip(names, (os.O_RDONLY, _APPEND, _APPEND), strict=True)):
        descriptor = os.open(name, mode)
        os.dup2(descriptor, target)
        os.close(descriptor)
    sys.argv = ["-c", *arguments]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # a descriptor, for the whole process
    exec(code, {"__name__": "__main__"})  # noqa: S102  # as `python -c` does


_APPEND = os.O_WRONLY | os.O_APPEND
