"""Write log lines without making the caller wait: a bounded queue, and one thread for each process that writes.

A write to a full pipe blocks until its reader goes on. Lines that the queue has no room for, or that could not be
written, are counted, and a line tells how many (ASVS 16.5.2).
"""

import atexit
import io
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TextIO

MOST_WAITING = 4 * 1024 * 1024  # bytes, for each process
END_SECONDS = 2  # for what waits at the end of the process; orchestrators allow ten or more

# What a pipe takes in one piece (`PIPE_BUF` of Linux): lines of several processes do not mix.
_MOST_AT_ONCE = 4096


class _Entry(NamedTuple):
    file: io.RawIOBase
    data: bytes
    lines: int  # how many lines are lost with it


class LogWriter:
    """The queue and its thread, which begins with the first line."""

    def __init__(self) -> None:
        self._begin()
        atexit.register(self.flush)
        if hasattr(os, "register_at_fork"):
            # The child has no thread, and what waits is the parent's to write.
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # Reentrant: a signal handler or a finaliser may log while its own thread is in here.
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[_Entry] = deque()
        self._size = 0
        self._writing = False
        self.untold = 0  # lines that were lost since the last report
        self.dropped = 0  # lines; a report that is lost counts those that it was about once more
        self._thread: threading.Thread | None = None

    def put(self, line: bytes, stream: TextIO, notice: Callable[[int], bytes]) -> None:
        """Queue the line for the file below the stream, if there is room; write to a stream in memory at once.

        `notice` makes the line that tells how many lines were lost before.
        """
        file = _file_of(stream)
        if file is None:
            if hasattr(stream, "buffer"):
                stream.buffer.write(line + b"\n")
            else:
                stream.write(line.decode() + "\n")
            stream.flush()
            return
        with self._changed:
            # After a loss, further lines are lost until half of the queue is written: few long gaps, not many short.
            if self._size + len(line) > (MOST_WAITING // 2 if self.untold else MOST_WAITING):
                self._lose(1)
                return
            if self.untold:
                lost, self.untold = self.untold, 0
                self._append(_Entry(file, notice(lost) + b"\n", lost))
            self._append(_Entry(file, line + b"\n", 1))
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()

    def flush(self, seconds: float = END_SECONDS) -> bool:
        """Wait until everything is written, but no longer than `seconds`; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, seconds)

    def _append(self, entry: _Entry) -> None:
        self._waiting.append(entry)
        self._size += len(entry.data)

    def _lose(self, lines: int) -> None:
        self.untold += lines
        self.dropped += lines

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                self._writing = True
            # To wake the thread for each line takes the event loop longer than to make the line.
            time.sleep(0.005)
            while entries := self._take():
                written = _write(entries[0].file, b"".join(entry.data for entry in entries))
                with self._changed:
                    for entry in entries:
                        written -= len(entry.data)
                        self._lose(entry.lines if written < 0 else 0)

    def _take(self) -> list[_Entry]:
        """Take the first lines, as many as go out in one piece; without one, everything is written."""
        entries: list[_Entry] = []
        size = 0
        with self._changed:
            while self._waiting:
                first = self._waiting[0]
                size += len(first.data)
                if entries and (size > _MOST_AT_ONCE or first.file is not entries[0].file):
                    break
                entries.append(self._waiting.popleft())
                self._size -= len(first.data)
            self._writing = bool(entries)
            self._changed.notify_all()
        return entries


def _file_of(stream: TextIO) -> io.RawIOBase | None:
    """Return the file below the stream: a write to it holds no lock of a buffer, at which Python would not end."""
    buffer = getattr(stream, "buffer", None)
    file = getattr(buffer, "raw", buffer)
    return file if isinstance(file, io.RawIOBase) else None


def _write(file: io.RawIOBase, data: bytes) -> int:
    """Write all of it, however long that takes; returns how many bytes were written before it failed."""
    view, written = memoryview(data), 0
    with suppress(Exception):  # the reader is gone, the disk is full, the file is closed
        while written < len(data):
            count = file.write(view[written:])
            if not count:  # another process that shares the pipe has made it non-blocking, and it is full
                time.sleep(0.05)
            written += count or 0
    return written
