"""How far a long command is."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.commands.support import counted
from tests.support.server import environment

if sys.platform != "win32":
    import pty

WORK = """
import time
from app.commands.support import counted
with counted("sessions") as advance:
    for _ in range(4):
        time.sleep(0.1)
        advance(250)
"""


def on_a_terminal(folder: Path, **settings: str) -> str:
    """What somebody at a terminal sees."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", WORK],
        cwd=folder,
        env=environment(DATABASE_URL="sqlite:///unused.db", TERM="xterm-256color", COLUMNS="100", **settings),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while received := os.read(ours, 65536):
            shown += received
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(ours)
    assert process.wait(30) == 0
    return shown.decode()


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    """With the name, a running number of rows, and colour."""
    shown = on_a_terminal(tmp_path)
    assert "sessions" in shown
    assert "1000 rows" in shown
    assert "━" in shown
    assert re.search(r"\x1b\[[\d;]*3\d", shown)


def test_no_color_is_heeded(tmp_path: Path) -> None:
    """https://no-color.org: the bar is there, and no colour."""
    shown = on_a_terminal(tmp_path, NO_COLOR="1")
    assert "1000 rows" in shown
    assert not re.search(r"\x1b\[[\d;]*3\d", shown)


def test_everything_else_gets_plain_lines_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """Not one for each batch, and nothing that a log cannot hold."""
    with counted("sessions", every=0.05) as advance:
        for _ in range(3):
            advance(250)
        time.sleep(0.06)
        advance(250)
    assert capsys.readouterr().err == "sessions: 1000 rows so far\n"
