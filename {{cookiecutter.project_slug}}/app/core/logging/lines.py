"""How a log line is written: JSON for machines, text for people; both from data that `redaction` has made harmless."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from traceback import walk_tb
from types import TracebackType
from typing import Any, TextIO

import orjson

MOST_EXCEPTIONS = 8
OUTER_FRAMES = 5
INNER_FRAMES = 20
Line = Mapping[str, Any]
Renderer = Callable[[Line], bytes]
render_json: Renderer = orjson.dumps
_BARE = re.compile(r"[\w./:@{}+*-]+", re.ASCII)
_LEVEL_COLOURS = {"debug": "36", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}


def describe(error: BaseException) -> list[dict[str, Any]]:
    """Describe the exception, its causes, contexts and members, each as `{relation, type, message, frames}`.

    Types, messages and places, bounded, and never the values of local variables (ASVS 16.2.5).
    """
    described: list[dict[str, Any]] = []
    waiting: deque[tuple[str, BaseException]] = deque([("raised", error)])
    seen: set[int] = set()
    while waiting and len(described) < MOST_EXCEPTIONS:
        relation, current = waiting.popleft()
        if id(current) in seen:
            continue
        seen.add(id(current))
        kind, frames = type(current), _frames(current.__traceback__)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        described.append({"relation": relation, "type": name, "message": _message(current), "frames": frames})
        waiting.extend(_related(current))
    return described


def _related(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    if error.__cause__ is not None:
        yield "cause", error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield "context", error.__context__
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions[:MOST_EXCEPTIONS]:
            yield "member", member


def _message(error: BaseException) -> str:
    """Return the text of the exception and its notes; an exception whose own text raises has none."""
    try:
        return "\n".join([str(error), *(str(note) for note in getattr(error, "__notes__", ()))])
    except Exception as unreadable:
        return f"<no text: {type(unreadable).__name__}>"


def _frames(traceback: TracebackType | None) -> list[str]:
    """Return the outermost and the innermost places, and how many are left out between them."""
    places = [f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}" for frame, line in walk_tb(traceback)]
    left_out = len(places) - OUTER_FRAMES - INNER_FRAMES
    if left_out > 0:
        places[OUTER_FRAMES:-INNER_FRAMES] = [f"({left_out} frames left out)"]
    return places


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
    lines = [" ".join(parts)]
    for exception in line.get("exception", ()):
        if isinstance(exception, dict):
            lines.append(f"    | {exception['relation']}: {exception['type']}: {exception['message']}")
            lines.extend(f"    |   at {frame}" for frame in exception["frames"])
    return "\n".join(lines).encode()


def wants_colours(stream: TextIO | None) -> bool:
    """Return whether the stream is a terminal with colours, which the user did not refuse (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or stream is None:
        return False
    # Only Windows Terminal is known to read the escapes there.
    return stream.isatty() and (os.name != "nt" or "WT_SESSION" in os.environ)


def _shown(value: object) -> str:
    """Write a text that is not one plain word as a JSON string, so that no value can pass for another field."""
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    return orjson.dumps(value).decode()
