"""The thread that writes the log: what waits, what is lost and told of, and how a process ends."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from app.core.logging import writer as subject
from app.core.logging.writer import LogWriter
from tests.support.processes.server import environment

pytestmark = pytest.mark.asvs("16.5.2")

_LINE = b"x" * 999
_CRASHES = {
    "an exception": ("raise ValueError('the end')", 1, "uncaught_exception"),
    "an exit": ("logging.getLogger('x').error('the end'); sys.exit(3)", 3, "the end"),
    # Not ignored, as it is in what a shell starts in the background.
    "a signal": (
        "signal.signal(signal.SIGINT, signal.default_int_handler); signal.raise_signal(signal.SIGINT)",
        -signal.SIGINT,
        "the beginning",
    ),
}
_MORE_THAN_A_PIPE = 2000
_FORK = """
import os
child = os.fork()
if not child:
    print("forked", file=sys.stderr, flush=True)
    logging.getLogger("x").warning("of the child")
    sys.exit()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
_PROCESS = """
import logging, signal, sys
from app.core.logging.setup import configure_logging
from app.core.settings.model import load_settings

configure_logging(load_settings(), stream=sys.{stream})
logging.getLogger("x").warning("the beginning")
for number in range({more}):
    logging.getLogger("x").warning("more")
{end}
"""


def _notice(lines: int) -> bytes:
    return f"{lines} lost".encode()


@contextmanager
def _pipe() -> Iterator[tuple[int, TextIO]]:
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w", encoding="utf-8")
    try:
        yield reader, stream
    finally:
        os.close(reader)
        stream.close()


def _read(reader: int, size: int) -> bytes:
    content = b""
    while len(content) < size:
        content += os.read(reader, size - len(content))
    return content


def test_never_waits_and_loses_nothing_within_the_bound() -> None:
    """More than a pipe takes is put at once, and comes out whole and in order when somebody reads."""
    lines = [str(number).encode().rjust(999) for number in range(1000)]
    with _pipe() as (reader, stream):
        writer = LogWriter()
        started = time.monotonic()
        for line in lines:
            writer.put(line, stream, _notice)
        assert time.monotonic() - started < 1
        assert not writer.flush(0.1)
        assert _read(reader, 1000 * 1000).splitlines() == lines
        assert writer.flush()
        assert writer.untold == 0


def test_what_has_gathered_is_written_in_one_go(tmp_path: Path) -> None:
    """The thread waits for lines to gather once, and not before each piece: it keeps up with thousands a second."""
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        writer = LogWriter()
        for _ in range(4000):
            writer.put(_LINE, stream, _notice)
        assert writer.flush(3)
    assert (tmp_path / "log").stat().st_size == 4000 * (len(_LINE) + 1)


def test_what_has_no_room_is_counted_and_told_of_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that tells how many are missing stands where they would be, and once for all of them."""
    monkeypatch.setattr(subject, "MOST_WAITING", 10_000)
    with _pipe() as (reader, stream):
        writer = LogWriter()
        kept = 0
        while writer.flush(1):  # until the pipe is full: from then on, nothing leaves the queue
            writer.put(_LINE, stream, _notice)
            kept += 1
        for _ in range(100):
            writer.put(_LINE, stream, _notice)
        lost = writer.untold
        kept += 100 - lost
        assert _read(reader, 1000 * kept).splitlines() == [_LINE] * kept
        assert writer.flush()
        writer.put(b"after it", stream, _notice)
        assert writer.flush()
        assert os.read(reader, 1000) == f"{lost} lost\nafter it\n".encode()
        assert writer.untold == 0


def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines count for what they take: one that is larger than all of the room is lost."""
    monkeypatch.setattr(subject, "MOST_WAITING", 10_000)
    with _pipe() as (_, stream):
        writer = LogWriter()
        writer.put(b"x" * 10_001, stream, _notice)
        assert writer.untold == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is there on Linux alone")
def test_a_full_disk_is_told_of_when_it_has_room_again(tmp_path: Path) -> None:
    """Lines that could not be written count as lost, and the next one that can tells of them."""
    writer = LogWriter()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        for _ in range(3):
            writer.put(_LINE, full, _notice)
            assert writer.flush()
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        writer.put(b"again", file, _notice)
        assert writer.flush()
    assert (tmp_path / "log").read_text() == "3 lost\nagain\n"


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    """Another process that shares the pipe may have made it non-blocking: no line is lost for that."""
    with _pipe() as (reader, stream):
        os.set_blocking(stream.fileno(), False)
        writer = LogWriter()
        for _ in range(200):
            writer.put(_LINE, stream, _notice)
        assert _read(reader, 200 * 1000).splitlines() == [_LINE] * 200
        assert writer.flush()
        assert writer.untold == 0


def test_an_unbuffered_stream_is_written_by_the_thread_too() -> None:
    """With `PYTHONUNBUFFERED`, as in containers, `sys.stdout` has no buffer between it and the file."""
    with _pipe() as (reader, piped), open(piped.fileno(), "wb", buffering=0, closefd=False) as raw:
        writer = LogWriter()
        stream = io.TextIOWrapper(raw, write_through=True)
        for _ in range(200):
            writer.put(_LINE, stream, _notice)
        assert _read(reader, 200 * 1000).splitlines() == [_LINE] * 200
        assert writer.flush()
        stream.detach()


def test_a_fork_writes_its_own_lines_alone(tmp_path: Path) -> None:
    """What waits in the parent is not written by the child too, and the child has a thread of its own."""
    with _begin(tmp_path, stream="stdout", more=_MORE_THAN_A_PIPE, end=_FORK) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "forked\n"
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert [output.count(event) for event in ('"the beginning"', '"more"', '"of the child"')] == [
        1,
        _MORE_THAN_A_PIPE,
        1,
    ]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("crash", _CRASHES)
def test_the_last_lines_of_a_process_are_written(tmp_path: Path, crash: str, stream: str) -> None:
    """However a process ends by itself, what it logged before is written, and its code is the same."""
    end, code, event = _CRASHES[crash]
    with _begin(tmp_path, stream=stream, more=0, end=end) as process:
        output = process.communicate(timeout=30)[stream == "stderr"]
    assert process.returncode == code
    assert event in output


def test_a_process_ends_although_nobody_reads(tmp_path: Path) -> None:
    """A crash with a full pipe ends the process with its code, and not with an abort at a lock of the stream."""
    with _begin(tmp_path, stream="stdout", more=_MORE_THAN_A_PIPE, end="raise ValueError") as process:
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_process_without_streams_logs_nowhere(tmp_path: Path) -> None:
    """Started with its output closed, a process goes on."""
    close = ("sh", "-c", 'exec "$@" >&-', "sh")
    with _begin(tmp_path, *close, stream="stdout", more=1, end="print('done', file=sys.stderr)") as process:
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "done\n")


def _begin(folder: Path, *before: str, stream: str, more: int, end: str) -> "subprocess.Popen[str]":
    """Start a process that logs to its `stream` a first line and as many `more`, and then does what `end` says."""
    return subprocess.Popen(  # our own interpreter
        [*before, sys.executable, "-c", _PROCESS.format(stream=stream, more=more, end=end)],
        cwd=folder,
        env=environment(DATABASE_URL="sqlite:///unused.db"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
