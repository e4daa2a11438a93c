"""How far a long command is."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.processes.server import environment

if sys.platform != "win32":
    import pty

WORK = """
import asyncio
from app.assembly import load_settings, make_services
from app.commands.support import note, treat_all
sizes = [250] * 4 + [0]
async def batch(db):
    await asyncio.sleep(0.1)
    return sizes.pop(0)
async def main():
    async with make_services(load_settings()) as services:
        assert await treat_all(services, "sessions", batch) == 1000
asyncio.run(main())
"""
MESSAGE = "note('Something is wrong.', colour='red')"


def settings_of(**settings: str) -> dict[str, str]:
    """The environment, with a database of the test's own."""
    return environment(DATABASE_URL="sqlite:///rows.db", **settings)


def on_a_terminal(folder: Path, **settings: str) -> str:
    """What somebody at a terminal sees."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", WORK + MESSAGE],
        cwd=folder,
        env=settings_of(TERM="xterm-256color", COLUMNS="100", **settings),
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
    """https://no-color.org: the bar and the message are there, and no colour."""
    shown = on_a_terminal(tmp_path, NO_COLOR="1")
    assert "Something is wrong." in shown
    assert "1000 rows" in shown
    assert not re.search(r"\x1b\[[\d;]*3\d", shown)


def test_everything_else_gets_no_bar(tmp_path: Path) -> None:
    """A log holds what the command says at its end, and nothing of the bar."""
    done = subprocess.run(
        [sys.executable, "-c", WORK], cwd=tmp_path, env=settings_of(), capture_output=True, check=True, timeout=30
    )
    assert (done.stdout, done.stderr) == (b"", b"")
