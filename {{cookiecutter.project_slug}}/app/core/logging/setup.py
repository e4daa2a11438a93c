"""Logging: one pipe for every line, whoever writes it, with secrets taken out and one event on one line.

The service logs with `structlog.get_logger(__name__)`: a stable name in snake_case, and fields (`docs/logging.md`).
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from functools import partial
from types import SimpleNamespace, TracebackType
from typing import Any, NoReturn, TextIO

import structlog

from app.core.clock import utc_now
from app.core.logging.lines import Renderer, describe, render_console, render_json, wants_colours
from app.core.logging.redaction import redact_fields, redact_text
from app.core.logging.writer import LogWriter
from app.core.settings.model import Settings

_OWN_LOGGER = "app"
_LONGEST_EVENT = 64
_OWN_KEYS = frozenset({"timestamp", "level", "event", "logger", "exception"})
# What every record has; anything else was given as `extra`. uvicorn's `color_message` repeats the message.
_RECORD_KEYS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

error_observers: list[Callable[[Mapping[str, Any], BaseException], None]] = []
"""Called, in any thread, with each line of an error that has an exception, and that exception; they must not raise."""

writer = LogWriter()
_log = structlog.get_logger(__name__)


def configure_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send every line of this process through one pipe to `stream`: by default, whatever `sys.stdout` is then."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_json = settings.log_format == "json"
    renderer = render_json if as_json else partial(render_console, colours=wants_colours(stream or sys.stdout))
    pipe = _Pipe(renderer, stream)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, pipe.process],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda name=_OWN_LOGGER: SimpleNamespace(name=name),
        cache_logger_on_first_use=False,  # a module's logger has to follow a later configuration
    )
    _take_over(pipe, level)
    sys.excepthook = _on_uncaught
    # The hooks of a tool, such as a debugger, stay.
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda died: _log.critical(
            "thread_died", thread=died.thread and died.thread.name, exc_info=died.exc_value
        )
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = lambda it: _log.error("unraisable_exception", source=it.object, exc_info=it.exc_value)


def log_plain(logger: str, event: str, fields: Mapping[str, str | float | None]) -> None:
    """Write a line at `info` whose fields this service has made: they are not searched for secrets, for speed."""
    pipe = next((each for each in logging.root.handlers if isinstance(each, _Pipe)), None)
    if pipe is not None and pipe.level <= logging.INFO:
        line = {"timestamp": _timestamp(), "level": "info", "event": event, "logger": logger, **fields}
        pipe.put(pipe.renderer(line))


class _Pipe(logging.Handler):
    """From an event, or a record of the standard library's logging, to the stream, whatever is logged."""

    def __init__(self, renderer: Renderer, stream: TextIO | None) -> None:
        super().__init__()
        self.renderer = renderer
        self._stream = stream

    def process(self, logger: Any, method: str, fields: MutableMapping[str, Any]) -> NoReturn:
        """Write the line, as structlog's last processor: no logger is to do more."""
        self.put(self._render(logger.name, method, fields))
        raise structlog.DropEvent

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; unlike the standard handlers, an ill-formed one is not printed raw to stderr."""
        fields = {key: value for key, value in vars(record).items() if key not in _RECORD_KEYS}
        fields |= structlog.contextvars.get_contextvars()
        try:
            fields["event"] = record.getMessage()
        except Exception:
            fields["event"] = record.msg
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        if record.stack_info:
            # Its end is where the line was logged.
            fields["stack"] = record.stack_info[-1500:]
        self.put(self._render(record.name, record.levelname.lower(), fields))

    def put(self, line: bytes) -> None:
        """Have the line written, without waiting for it. A closed stream takes nothing, and does not fail."""
        with suppress(Exception):
            writer.put(line, self._stream or sys.stdout, self._notice)

    def _notice(self, lost: int) -> bytes:
        return self._render(__name__, "warning", {"event": "log_lines_dropped", "lines": lost})

    def _render(self, logger: str, level: str, fields: Mapping[str, Any]) -> bytes:
        try:
            return self.renderer(_line(logger, level, fields))
        except Exception as error:
            return self.renderer(_lost_line(level, fields, error))


def _line(logger: str, level: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(fields)
    event = fields.pop("event", "")
    error = fields.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is True:
        error = sys.exception()
    line = {
        "timestamp": _timestamp(),
        "level": redact_text(level),
        "event": redact_text(event if type(event) is str else str(event)),
        "logger": redact_text(logger),
    }
    for key, value in redact_fields(fields).items():
        line[f"{key}_" if key in _OWN_KEYS else key] = value
    if isinstance(error, BaseException):
        for observe in error_observers if level in {"error", "critical"} else ():
            observe(line, error)
        line |= redact_fields({"exception": describe(error)})
    return line


def _lost_line(method: str, fields: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    """Make the line that stands for one that could not be made: no value can be trusted, the event is kept."""
    event = fields.get("event")
    known = type(event) is str and event.isidentifier() and len(event) <= _LONGEST_EVENT
    return {
        "timestamp": _timestamp(),
        "level": method if method.isidentifier() else "error",
        "event": event if known else "unwritable_event",
        "logger": f"{_OWN_LOGGER}.core.logging",
        "lost": type(error).__name__,
    }


def _timestamp() -> str:
    return utc_now().isoformat(timespec="microseconds").replace("+00:00", "Z")


def _take_over(pipe: _Pipe, level: int) -> None:
    """Give every foreign logger this one handler in the place of those that write to a stream themselves."""
    loggers = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for logger in (logging.root, *loggers):
        for old in list(logger.handlers):
            if type(old) in {logging.StreamHandler, _Pipe}:
                logger.removeHandler(old)
    # Foreign lines below INFO are never written: drivers print statements with their parameters there.
    pipe.setLevel(max(level, logging.INFO))
    logging.root.setLevel(pipe.level)
    logging.root.addHandler(pipe)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).propagate = True
    # The service writes an access line of its own; uvicorn's holds the query string.
    access = logging.getLogger("uvicorn.access")
    access.propagate, access.disabled = False, True
    # At every start Alembic says which database it found.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Off and on: what counts as captured is not captured anew if another tool has put its function back.
    logging.captureWarnings(capture=False)
    logging.captureWarnings(capture=True)


def _on_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        _log.critical("uncaught_exception", exc_info=error)
