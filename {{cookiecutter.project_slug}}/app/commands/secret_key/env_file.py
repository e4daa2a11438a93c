"""Change the keys in the text of `.env`: a new one is put in, earlier ones are taken out, and every other byte stays.

A value is replaced as it is written, in its quotes. dotenv's own parser reads the result again: a change with any other
effect is not made. No message shows a value.
"""

import codecs
import re
from contextlib import suppress
from io import StringIO

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from app.core.settings.sources import MAX_SECRET_BYTES

KEY, FALLBACKS = "secret_key", "secret_key_fallbacks"

_HEAD = re.compile(r"""[^=]*=(?:[^\S\r\n]*['"])?""")  # what is before a value, with its quote


class EnvFileError(Exception):
    """`.env` cannot be changed as it should. The message says why and shows no value."""


def with_new_key(content: bytes, key: str) -> bytes:
    """Put in another `SECRET_KEY`, and the one before first in `SECRET_KEY_FALLBACKS`; raises `EnvFileError`."""
    lines, before = _lines(content), _values(content)
    if KEY not in lines:
        raise EnvFileError("has no line that sets SECRET_KEY")
    head, old, tail = lines[KEY]
    changed = {KEY: f"{head}{key}{tail}"}
    if FALLBACKS in lines:
        first, older, last = lines[FALLBACKS]
        changed[FALLBACKS] = f"{first}{','.join(filter(None, (old, older)))}{last}"
    else:
        end = "" if tail.endswith(("\n", "\r")) else "\r\n" if b"\r\n" in content else "\n"
        changed[KEY] += end + re.sub(
            KEY, FALLBACKS.upper(), f"{head}{old}{tail}".lstrip(), count=1, flags=re.IGNORECASE
        )
    return _changed(content, changed, {KEY: key, FALLBACKS: ",".join(filter(None, map(before.get, (KEY, FALLBACKS))))})


def without_fallbacks(content: bytes) -> bytes:
    """Empty `SECRET_KEY_FALLBACKS`; raises `EnvFileError`."""
    changed = {name: f"{head}{tail}" for name, (head, _, tail) in _lines(content).items() if name == FALLBACKS}
    return _changed(content, changed, {FALLBACKS: ""})


def _lines(content: bytes) -> dict[str, tuple[str, str, str]]:
    """Return the line of each key: what is before its value, the value as it is written, what follows."""
    lines: dict[str, tuple[str, str, str]] = {}
    for binding in parse_stream(StringIO(_text(content))):
        name, line, value = (binding.key or "").lower(), binding.original.string, binding.value or ""
        if name in lines:
            raise EnvFileError(f"has 2 lines that set {name.upper()}: leave one")
        if name in {KEY, FALLBACKS}:
            head = _HEAD.match(line)
            start = line.find(value, head.end()) if head else -1
            if start < 0:
                raise EnvFileError("has a line of a key that is not of the form NAME=value, without escapes")
            lines[name] = line[:start], value, line[start + len(value) :]
    return lines


def _changed(content: bytes, changed: dict[str, str], wanted: dict[str, str]) -> bytes:
    """Return the file with the changed lines if it has the wanted values, and all others as before."""
    bindings = parse_stream(StringIO(_text(content)))
    text = "".join(changed.get((binding.key or "").lower(), binding.original.string) for binding in bindings)
    after = (codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b"") + text.encode()
    if _values(after) != {name: value for name, value in (_values(content) | wanted).items() if value}:
        raise EnvFileError(
            "has a value that is made of a key, or a key that cannot be moved as it is written: change it by hand"
        )
    if len(after) > MAX_SECRET_BYTES:
        raise EnvFileError(f"would be larger than {MAX_SECRET_BYTES} bytes: retire the earlier keys first")
    return after


def _values(content: bytes) -> dict[str, str]:
    """Return what the settings read: a value that is empty counts as unset."""
    values = dotenv_values(stream=StringIO(_text(content)))
    return {name.lower(): value for name, value in values.items() if value}


def _text(content: bytes) -> str:
    with suppress(UnicodeDecodeError):
        return content.decode("utf-8-sig")
    # Raised here, outside of the block: an exception in the chain would carry the content.
    raise EnvFileError("is not UTF-8 text")
