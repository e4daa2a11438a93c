"""The log of a test: the real configuration, written to memory, with everything put back afterwards."""

import io
import json
import logging
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from app.core.logging.setup import configure_logging
from app.core.settings.model import Settings


class Log:
    """What was written."""

    def __init__(self) -> None:
        self.stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")

    @property
    def text(self) -> str:
        """All of it."""
        buffer = self.stream.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()

    @property
    def raw_lines(self) -> list[str]:
        """The lines as a reader sees them that takes every kind of line end for one."""
        return self.text.splitlines()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Every line, parsed: fails when one is no JSON object."""
        lines = [json.loads(line) for line in self.raw_lines]
        assert all(isinstance(line, dict) for line in lines)
        return lines

    @property
    def line(self) -> dict[str, Any]:
        """The only line: fails when there are more, or none."""
        (line,) = self.lines
        return line


def log_settings(log_format: str = "json", log_level: str = "info") -> Settings:
    """Settings that say how to log, and nothing else that matters."""
    values: dict[str, Any] = {
        "environment": "test",
        "admin_email": "operator@service.example",
        "secret_key": secrets.token_urlsafe(64),
        "database_url": "sqlite:///unused.db",
        "log_format": log_format,
        "log_level": log_level,
    }
    return Settings(_env_file=None, **values)


@contextmanager
def captured_log(settings: Settings) -> Iterator[Log]:
    """Configure logging as the service does, into memory; afterwards logging is as it was before."""
    root, captured = logging.getLogger(), Log()
    loggers = [root, *(each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))]
    before = [(logger, list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    config = structlog.get_config()
    for logger in loggers:
        # Those of pytest too: its handlers raise where a record is ill-formed.
        logger.handlers = []
    try:
        configure_logging(settings, stream=captured.stream)
        yield captured
    finally:
        logging.captureWarnings(capture=False)
        structlog.contextvars.clear_contextvars()
        structlog.configure(**config)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        for logger, handlers, level, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
