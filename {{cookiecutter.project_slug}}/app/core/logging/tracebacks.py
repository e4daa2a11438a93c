"""Exceptions as bounded plain data: types, messages and places, never the values of local variables (ASVS 16.2.5)."""

from collections import deque
from collections.abc import Iterator
from traceback import walk_tb
from types import TracebackType
from typing import Any

MOST_EXCEPTIONS = 8
OUTER_FRAMES = 5
INNER_FRAMES = 20


def describe(error: BaseException) -> list[dict[str, Any]]:
    """Describe the exception, its causes, contexts and members, each as `{relation, type, message, frames}`."""
    described: list[dict[str, Any]] = []
    waiting: deque[tuple[str, BaseException]] = deque([("raised", error)])
    seen: set[int] = set()
    while waiting and len(described) < MOST_EXCEPTIONS:
        relation, current = waiting.popleft()
        if id(current) in seen:
            continue
        seen.add(id(current))
        kind, frames = _name(type(current)), _frames(current.__traceback__)
        described.append({"relation": relation, "type": kind, "message": _message(current), "frames": frames})
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


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    """Return the text of the exception and its notes; an exception whose own text raises has none."""
    try:
        return "\n".join([str(error), *(str(note) for note in getattr(error, "__notes__", ()))])
    except Exception as unreadable:  # noqa: BLE001  # whatever it raises, the line is written
        return f"<no text: {type(unreadable).__name__}>"


def _frames(traceback: TracebackType | None) -> list[str]:
    """Return the outermost and the innermost places, and how many are left out between them."""
    outer: list[str] = []
    inner: deque[str] = deque(maxlen=INNER_FRAMES)
    count = 0
    for frame, line in walk_tb(traceback):
        place = f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"
        (outer if count < OUTER_FRAMES else inner).append(place)
        count += 1
    left_out = count - len(outer) - len(inner)
    return [*outer, *([f"({left_out} frames left out)"] if left_out else []), *inner]
