"""The keys in the text of `.env`: another one is put in, earlier ones are taken out, and every other byte stays.

The text is taken apart by the parser that the settings read it with, and what comes out is read with it once more: a
change that would say anything else than it should is not made. No message shows a value.
"""

import codecs
import re
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from typing import NamedTuple, NoReturn

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from app.core.settings.sources import MAX_SECRET_BYTES

KEY, FALLBACKS = "secret_key", "secret_key_fallbacks"

# What stands before a value, and a value in quotes, as dotenv reads them.
_HEAD = re.compile(r"\s*(?P<export>export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+)[^\S\r\n]*=[^\S\r\n]*")
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_UNQUOTED_END = re.compile(r"[^\S\r\n]*(?:[^\S\r\n]#[^\r\n]*)?(?=[\r\n]|$)")
_LINE_END = re.compile(r"\r\n|\n|\r")


class EnvFileError(Exception):
    """`.env` cannot be changed as it should. The message says why and shows no value."""


class _Line(NamedTuple):
    """A line that sets something: what stands before the value, the value with its quotes, and what follows."""

    head: str
    value: str
    tail: str

    @property
    def quote(self) -> str:
        """The quote around the value, if there is one."""
        return self.value[0] if self.value[:1] in {"'", '"'} else ""

    def holding(self, content: str) -> str:
        """The line with another value in the same quotes."""
        return f"{self.head}{self.quote}{content}{self.quote}{self.tail}"


def with_new_key(content: bytes, key: str) -> bytes:
    """The file with another `SECRET_KEY`, and the one before first of `SECRET_KEY_FALLBACKS`; raises `EnvFileError`."""
    before = _values(content)
    earlier = [entry for entry in (before.get(KEY), before.get(FALLBACKS)) if entry]
    changed = _changed(content, lambda parts, places: _put_in(parts, places, key, before.get(KEY) or ""))
    return _checked(content, changed, {KEY: key, FALLBACKS: ",".join(earlier)})


def without_fallbacks(content: bytes) -> bytes:
    """The file with nothing in `SECRET_KEY_FALLBACKS`; raises `EnvFileError`."""
    return _checked(content, _changed(content, _take_out), {FALLBACKS: ""})


def _changed(content: bytes, change: Callable[[list[str], dict[str, int]], None]) -> bytes:
    """The file after `change` of its parts, which is told which of them set the keys."""
    bindings = list(parse_stream(StringIO(_text(content))))
    names = [(binding.key or "").lower() for binding in bindings]
    for name in (KEY, FALLBACKS):
        if names.count(name) > 1:
            _refuse(f"has {names.count(name)} lines that set {name.upper()}: leave one")
    parts = [binding.original.string for binding in bindings]
    change(parts, {name: names.index(name) for name in (KEY, FALLBACKS) if name in names})
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    return mark + "".join(parts).encode()


def _put_in(parts: list[str], places: dict[str, int], key: str, earlier: str) -> None:
    if KEY not in places:
        _refuse("has no line that sets SECRET_KEY")
    line = _line(parts[places[KEY]])
    parts[places[KEY]] = line.holding(key)
    if FALLBACKS not in places:
        parts[places[KEY]] = _followed(parts[places[KEY]], line, "".join(parts))
        return
    fallbacks = _line(parts[places[FALLBACKS]])
    kept = fallbacks.value[len(fallbacks.quote) : len(fallbacks.value) - len(fallbacks.quote)]
    if kept:
        parts[places[FALLBACKS]] = fallbacks.holding(f"{_escaped(earlier, fallbacks.quote)},{kept}")
    else:
        parts[places[FALLBACKS]] = fallbacks.head + line.value + fallbacks.tail


def _followed(changed: str, line: _Line, text: str) -> str:
    """The line of the key with one of the fallbacks below it, which quotes the earlier key as it was quoted."""
    found = _HEAD.match(line.head)
    export = (found and found["export"]) or ""
    added = f"{export}{FALLBACKS.upper()}={line.value}"
    if line.tail.endswith(("\r", "\n")):
        return f"{changed}{added}{_LINE_END.findall(line.tail)[-1]}"
    ends = _LINE_END.findall(text)
    return f"{changed}{ends[0] if ends else chr(10)}{added}"


def _take_out(parts: list[str], places: dict[str, int]) -> None:
    if FALLBACKS in places:
        parts[places[FALLBACKS]] = _line(parts[places[FALLBACKS]]).holding("")


def _line(part: str) -> _Line:
    head = _HEAD.match(part)
    if head is None:
        _refuse("has a line of a key that is not of the form NAME=value")
    rest = part[head.end() :]
    quoted = _QUOTED.match(rest)
    end = quoted.end() if quoted else _end_of_unquoted(rest, blank=head[0][-1].isspace())
    return _Line(head[0], rest[:end], rest[end:])


def _end_of_unquoted(rest: str, *, blank: bool) -> int:
    """Where a value without quotes ends: before a comment that follows a blank, or at the end of the line."""
    if blank and rest.startswith("#"):
        return 0
    found = _UNQUOTED_END.search(rest)
    return found.start() if found else len(rest)


def _escaped(value: str, quote: str) -> str:
    return value.replace("\\", "\\\\").replace(quote, f"\\{quote}") if quote else value


def _checked(before: bytes, after: bytes, wanted: dict[str, str]) -> bytes:
    """The changed file, if it says what is wanted and all else that it said before."""
    expected = {name: value for name, value in (_values(before) | wanted).items() if value}
    if {name: value for name, value in _values(after).items() if value} != expected:
        _refuse("has a value that is made of a key, or a key that cannot be moved as it is written: change it by hand")
    if len(after) > MAX_SECRET_BYTES:
        _refuse(f"would be larger than {MAX_SECRET_BYTES} bytes: retire the earlier keys first")
    return after


def _values(content: bytes) -> dict[str, str | None]:
    return {name.lower(): value for name, value in dotenv_values(stream=StringIO(_text(content))).items()}


def _text(content: bytes) -> str:
    with suppress(UnicodeDecodeError):
        return content.decode("utf-8-sig")
    # Raised here, outside of the block: an exception in the chain would carry the content.
    raise EnvFileError("is not UTF-8 text")


def _refuse(problem: str) -> NoReturn:
    raise EnvFileError(problem)
