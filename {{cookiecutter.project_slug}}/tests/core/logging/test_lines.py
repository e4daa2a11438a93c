"""How lines look: JSON for machines, text for people."""

import io
import json

import pytest

from app.core.logging.lines import render_console, render_json, wants_colours

LINE = {
    "timestamp": "2026-11-24T10:00:00.000000Z",
    "level": "info",
    "event": "request",
    "logger": "app.http",
    "status": 200,
    "text": 'a" status=500',
    "exception": [{"relation": "raised", "type": "ValueError", "message": "no", "frames": ["app/x.py:1 in f"]}],
}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json() -> None:
    """One object on one line, time first."""
    rendered = render_json(LINE)
    assert b"\n" not in rendered
    assert json.loads(rendered) == LINE
    assert rendered.startswith(b'{"timestamp":')


@pytest.mark.asvs("16.4.1")
def test_console() -> None:
    """Text that could pass for another field is quoted, and each part of a traceback is marked as one."""
    assert render_console(LINE).decode().splitlines() == [
        '2026-11-24T10:00:00.000000Z info     request status=200 text="a\\" status=500" [app.http]',
        "    | raised: ValueError: no",
        "    |   at app/x.py:1 in f",
    ]


def test_console_with_a_traceback_that_was_cut() -> None:
    """What redaction left out does not stop the line."""
    assert render_console(LINE | {"exception": ["…"]}).count(b"\n") == 0


def test_console_in_colours() -> None:
    """Colours add escapes and change nothing else."""
    plain, coloured = render_console(LINE).decode(), render_console(LINE, colours=True).decode()
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[36m"):
        assert code in coloured
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a file or a pipe, not with NO_COLOR, not on a dumb terminal, and on Windows only where they are read."""
    for name in ("NO_COLOR", "TERM", "WT_SESSION"):
        monkeypatch.delenv(name, raising=False)
    assert wants_colours(_Terminal())
    assert not wants_colours(io.StringIO())
    assert not wants_colours(None)
    with monkeypatch.context() as patch:
        patch.setattr("app.core.logging.lines.os.name", "nt")
        assert not wants_colours(_Terminal())
        patch.setenv("WT_SESSION", "1")
        assert wants_colours(_Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colours(_Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    assert wants_colours(_Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colours(_Terminal())
