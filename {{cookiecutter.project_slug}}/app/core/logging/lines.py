"""How a log line is written: JSON for machines, text for people; both from data that `redaction` has made harmless."""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import orjson

Line = Mapping[str, Any]
Renderer = Callable[[Line], bytes]

_BARE = re.compile(r"[\w./:@{}+*-]+", re.ASCII)
_LEVEL_COLOURS = {"debug": "36", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}


def render_json(line: Line) -> bytes:
    """Write one JSON object on one line."""
    return orjson.dumps(line)


def render_console(line: Line, *, colours: bool = False) -> bytes:
    """Write a line of text, `time level event key=value … [logger]`, and below it a traceback."""

    def paint(text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if colours else text

    special = ("timestamp", "level", "event", "logger", "exception")
    parts = [
        paint(line["timestamp"], "2"),
        paint(f"{line['level']:<8}", _LEVEL_COLOURS.get(line["level"], "0")),
        paint(_shown(line["event"]), "1"),
        *(f"{paint(_shown(key), '36')}={_shown(value)}" for key, value in line.items() if key not in special),
        paint(f"[{line['logger']}]", "2"),
    ]
    return "\n".join([" ".join(parts), *_traceback(line.get("exception", ()))]).encode()


def wants_colours(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal that shows colours, and the user did not refuse them (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or stream is None:
        return False
    # Only Windows Terminal is known to read the escapes there.
    return stream.isatty() and (os.name != "nt" or "WT_SESSION" in os.environ)


def _shown(value: object) -> str:
    """Write a text that is not one plain word as a JSON string, so that no value can pass for another field."""
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    return orjson.dumps(value).decode()


def _traceback(exceptions: Any) -> list[str]:
    lines = []
    for exception in exceptions:
        if not isinstance(exception, dict):
            continue
        lines.append(f"    | {exception['relation']}: {exception['type']}: {exception['message']}")
        lines.extend(f"    |   at {frame}" for frame in exception["frames"])
    return lines
