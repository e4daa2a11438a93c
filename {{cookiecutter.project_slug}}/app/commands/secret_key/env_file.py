"""Change the keys in the text of `.env`: a new one is put in, earlier ones are taken out, and every other byte stays.

dotenv's own parser reads the result again: a change with any other effect is not made. No message shows a value.
"""

import codecs
import re
from contextlib import suppress
from io import StringIO

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from app.core.settings.sources import MAX_SECRET_BYTES

KEY, FALLBACKS = "secret_key", "secret_key_fallbacks"

# A line that sets something, as dotenv reads it: what is before the value, the value with its quotes, what follows.
_LINE = re.compile(
    r"""(?P<head>\s*(?P<export>export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+)[^\S\r\n]*=[^\S\r\n]*)
        (?P<value>(?P<quote>['"])(?:\\.|(?!(?P=quote))[^\\])*(?P=quote)|[^\r\n]*?)
        (?P<tail>(?(quote).*|[^\S\r\n]*(?:(?<=[^\S\r\n])\#[^\r\n]*)?(?:[\r\n].*)?))\Z""",
    re.VERBOSE | re.DOTALL,
)
_LINE_END = re.compile(r"\r\n|\n|\r")


class EnvFileError(Exception):
    """`.env` cannot be changed as it should. The message says why and shows no value."""


def with_new_key(content: bytes, key: str) -> bytes:
    """Put in another `SECRET_KEY`, and the one before first in `SECRET_KEY_FALLBACKS`; raises `EnvFileError`."""
    before = _values(content)
    earlier = [entry for entry in (before.get(KEY), before.get(FALLBACKS)) if entry]
    parts, places = _split(content)
    _put_in(parts, places, key, before.get(KEY) or "")
    return _joined(parts, content, {KEY: key, FALLBACKS: ",".join(earlier)})


def without_fallbacks(content: bytes) -> bytes:
    """Empty `SECRET_KEY_FALLBACKS`; raises `EnvFileError`."""
    parts, places = _split(content)
    if FALLBACKS in places:
        parts[places[FALLBACKS]] = _with_value(_line(parts[places[FALLBACKS]]), "")
    return _joined(parts, content, {FALLBACKS: ""})


def _split(content: bytes) -> tuple[list[str], dict[str, int]]:
    """Return the parts of the file, and the positions of the keys among them."""
    bindings = list(parse_stream(StringIO(_text(content))))
    names = [(binding.key or "").lower() for binding in bindings]
    for name in (KEY, FALLBACKS):
        if names.count(name) > 1:
            raise EnvFileError(f"has {names.count(name)} lines that set {name.upper()}: leave one")
    places = {name: names.index(name) for name in (KEY, FALLBACKS) if name in names}
    return [binding.original.string for binding in bindings], places


def _put_in(parts: list[str], places: dict[str, int], key: str, earlier: str) -> None:
    if KEY not in places:
        raise EnvFileError("has no line that sets SECRET_KEY")
    line = _line(parts[places[KEY]])
    parts[places[KEY]] = _with_value(line, key)
    if FALLBACKS not in places:
        added = f"{line['export'] or ''}{FALLBACKS.upper()}={line['value']}"
        own_ends, ends = _LINE_END.findall(line["tail"]), _LINE_END.findall("".join(parts))
        parts[places[KEY]] += f"{added}{own_ends[-1]}" if own_ends else f"{ends[0] if ends else chr(10)}{added}"
        return
    fallbacks = _line(parts[places[FALLBACKS]])
    quote = fallbacks["quote"] or ""
    kept = fallbacks["value"].removeprefix(quote).removesuffix(quote)
    if kept:
        escaped = earlier.replace("\\", "\\\\").replace(quote, f"\\{quote}") if quote else earlier
        parts[places[FALLBACKS]] = _with_value(fallbacks, f"{escaped},{kept}")
    else:
        parts[places[FALLBACKS]] = fallbacks["head"] + line["value"] + fallbacks["tail"]


def _line(part: str) -> re.Match[str]:
    found = _LINE.match(part)
    if found is None:
        raise EnvFileError("has a line of a key that is not of the form NAME=value")
    return found


def _with_value(line: re.Match[str], value: str) -> str:
    """Return the line with another value in the same quotes."""
    quote = line["quote"] or ""
    return f"{line['head']}{quote}{value}{quote}{line['tail']}"


def _joined(parts: list[str], before: bytes, wanted: dict[str, str]) -> bytes:
    """Return the changed file if it has the wanted values, and all others as before."""
    mark = codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b""
    after = mark + "".join(parts).encode()
    expected = {name: value for name, value in (_values(before) | wanted).items() if value}
    if {name: value for name, value in _values(after).items() if value} != expected:
        raise EnvFileError(
            "has a value that is made of a key, or a key that cannot be moved as it is written: change it by hand"
        )
    if len(after) > MAX_SECRET_BYTES:
        raise EnvFileError(f"would be larger than {MAX_SECRET_BYTES} bytes: retire the earlier keys first")
    return after


def _values(content: bytes) -> dict[str, str | None]:
    return {name.lower(): value for name, value in dotenv_values(stream=StringIO(_text(content))).items()}


def _text(content: bytes) -> str:
    with suppress(UnicodeDecodeError):
        return content.decode("utf-8-sig")
    # Raised here, outside of the block: an exception in the chain would carry the content.
    raise EnvFileError("is not UTF-8 text")
