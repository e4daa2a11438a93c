"""Logging: one line for each event, JSON or for people to read, everything through one pipe.

Our own events and those of foreign loggers (uvicorn, SQLAlchemy, warnings, uncaught errors) pass the same processors:
context, UTC time, traceback, redaction, one renderer. What is not redacted cannot reach the output.
"""

import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from app.core.redaction import redact_fields, redact_text
from app.core.settings import LogFormat, Settings

_LONGEST_TRACEBACK = 16 * 1024
_RESET = "\x1b[0m"
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log line to `stream` (standard output by default). May be called again."""
    stream = stream or sys.stdout
    render = _render_json if settings.log_format is LogFormat.JSON else _console_renderer(colour=_wants_colour(stream))
    level = settings.log_level.value.upper()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
            processors=[*_PIPE, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _FOREIGN:
        foreign = logging.getLogger(name)
        foreign.handlers.clear()
        foreign.propagate = True
    # `http/access_log.py` writes the access line; uvicorn's has the query in it.
    logging.getLogger("uvicorn.access").propagate = False
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # A failing handler would print the record itself, unredacted.
    logging.raiseExceptions = False
    sys.excepthook = _log_uncaught
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _add_origin(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Time, level and logger, from the record that the line is made of."""
    record: logging.LogRecord = event.pop("_record")
    event.pop("_from_structlog", None)
    event["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
    event["level"] = record.levelname.lower()
    event["logger"] = record.name
    return event


def _add_traceback(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """An exception as text: frames and messages, never the values of local variables (ASVS 16.2.5)."""
    raised = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if raised is True:
        raised = sys.exc_info()
    if isinstance(raised, BaseException):
        raised = (type(raised), raised, raised.__traceback__)
    if raised and raised[0] is not None:
        event["exception"] = "".join(traceback.format_exception(*raised))
    return event


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    exception = event.pop("exception", None)
    clean = redact_fields(event)
    if exception is not None:
        clean["exception"] = redact_text(exception, _LONGEST_TRACEBACK)
    return clean


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return orjson.dumps(event).decode()


def _console_renderer(*, colour: bool) -> Processor:
    """A line for people: time, level, event, then the fields; a traceback below it, indented."""

    def render(_: WrappedLogger, __: str, event: EventDict) -> str:
        level = event.pop("level")
        exception = event.pop("exception", None)
        head = f"{event.pop('timestamp')[11:19]} {level:<8} {event.pop('event')}"
        fields = " ".join(f"{name}={value!r}" for name, value in event.items() if value is not None)
        lines = exception.split("\\n") if exception else []
        text = "\n".join([f"{head}  {fields}".rstrip(), *(f"  | {line}" for line in lines)])
        return f"{_COLOURS.get(level, '')}{text}{_RESET}" if colour else text

    return render


def _wants_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what ends the process; Ctrl-C is not an error."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("app").critical("uncaught_error", exc_info=(kind, error, trace))


_PIPE: tuple[Processor, ...] = (structlog.contextvars.merge_contextvars, _add_origin, _add_traceback, _redact)
# Loggers that bring handlers of their own.
_FOREIGN = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "alembic", "sqlalchemy", "py.warnings")
