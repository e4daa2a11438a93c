"""What would go to stderr by itself comes through the pipe: warnings, crashes, other people's handlers."""

import asyncio
import logging
import sys
import threading
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.logging.secret_shapes import MASK
from app.core.logging.setup import configure_logging
from tests.support.records.logs import Log, captured_log, log_settings

CANARY = "c4naryValue"


def test_warnings(log: Log) -> None:
    """Python's warnings are lines, also after a test or a library put its own function back."""
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            configure_logging(log_settings(), stream=log.stream)
            warnings.warn(f"careful\npassword={CANARY}", stacklevel=1)
    assert [line["logger"] for line in log.lines] == ["py.warnings", "py.warnings"]
    assert CANARY not in log.text


def test_uncaught_exceptions(log: Log) -> None:
    """What ends the process is a line, not a traceback on stderr."""
    error = ValueError(f"token={CANARY}")
    sys.excepthook(ValueError, error, None)
    line = log.line
    assert (line["event"], line["level"]) == ("uncaught_exception", "critical")
    assert line["exception"][0]["message"] == f"token={MASK}"


def test_an_interrupt_is_no_error(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C is left to Python."""
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert log.text == ""
    assert "KeyboardInterrupt" in capsys.readouterr().err


def test_exceptions_in_threads_and_finalisers(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are lines too."""

    class Falling:
        def __del__(self) -> None:
            raise ValueError(CANARY)

    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    with captured_log(log_settings()) as log:
        thread = threading.Thread(target=lambda: 1 / 0, name="worker")
        thread.start()
        thread.join()
        del thread
        Falling()
        died, unraisable = log.lines
        assert (died["event"], died["thread"], died["exception"][0]["type"]) == (
            "thread_died",
            "worker",
            "ZeroDivisionError",
        )
        assert (unraisable["event"], unraisable["exception"][0]["type"]) == ("unraisable_exception", "ValueError")


def test_hooks_of_tools_are_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A debugger or a test runner that has put its own hook keeps it."""
    hook: Any = SimpleNamespace()
    monkeypatch.setattr(threading, "excepthook", hook)
    monkeypatch.setattr(sys, "unraisablehook", hook)
    with captured_log(log_settings()):
        assert threading.excepthook is hook
        assert sys.unraisablehook is hook


def test_exceptions_of_forgotten_tasks(log: Log) -> None:
    """What asyncio says about a callback that raises goes the same way."""

    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: int(f"Bearer {CANARY}"))
        await asyncio.sleep(0)

    asyncio.run(main())
    line = log.line
    assert (line["logger"], line["level"]) == ("asyncio", "error")
    assert line["exception"][0]["type"] == "ValueError"
    assert CANARY not in log.text


def test_takes_over_what_wrote_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Uvicorn's own configuration is replaced, and its access lines, which hold query strings, are off."""
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "sqlalchemy.engine")
    with captured_log(log_settings()) as log:
        for name in names:
            logging.getLogger(name).addHandler(logging.StreamHandler(sys.stderr))
        logging.getLogger("uvicorn").propagate = False
        kept = logging.NullHandler()
        logging.getLogger("uvicorn").addHandler(kept)
        configure_logging(log_settings(), stream=log.stream)
        for name in names:
            logging.getLogger(name).warning("from %s", name)
        assert [line["logger"] for line in log.lines] == ["uvicorn", "uvicorn.error", "sqlalchemy.engine"]
        assert not logging.getLogger("uvicorn.access").hasHandlers()
        assert logging.getLogger("uvicorn").handlers == [kept]
        for name in names:
            logging.getLogger(name).handlers.clear()
    assert capsys.readouterr() == ("", "")
