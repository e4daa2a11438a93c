"""Strict parsers: a body that two parsers could read differently is rejected.

JSON (RFC 8259) in UTF-8 has no duplicate key, no NaN or infinity, no NUL or lone surrogate in a string, and bounded
depth and numbers. A form (`application/x-www-form-urlencoded`) has no duplicate or malformed field.
"""

import json
from collections import defaultdict
from itertools import chain
from math import isfinite
from typing import Any, NoReturn

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from app.core.errors import BadRequest, Problem, Unprocessable
from app.http.request.well_formed import percent_decoded

MAX_DEPTH = 32
MAX_ITEMS = 1024
MAX_FIELDS = 256
MAX_FORM_FIELDS = 50

_LONGEST_NUMBER = 64
_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_TOO_MANY = "The body holds too many values."
_TOO_DEEP = "The body is nested too deeply."
_UTF8: tuple[list[str], ...] = ([], ["charset=utf-8"], ['charset="utf-8"'])


class StrictRequest(Request):
    """A request whose body is parsed strictly before the framework reads it."""

    async def load(self, *, form: bool) -> None:
        """Read and parse the body; raises a `Problem`."""
        expected = "application/x-www-form-urlencoded" if form else "application/json"
        values = self.headers.getlist("Content-Type")
        # Space around a parameter and an empty parameter are allowed (RFC 9110 section 5.6.6).
        parts = [part.strip(" \t").lower() for part in values[0].split(";")] if len(values) == 1 else [""]
        is_utf8 = [part for part in parts[1:] if part] in _UTF8
        if parts[0] != expected or not is_utf8 or "Content-Encoding" in self.headers:
            raise Problem(f"The body must be {expected} in UTF-8.", status=415, headers={"Accept": expected})
        content = await self.body()
        if form:
            self._form = parse_form(content)
        elif content:
            self._json = parse_json(content)


def parse_json(content: bytes) -> Any:
    """Parse a JSON text; raises `BadRequest` if it is no JSON, `Unprocessable` if it has no single meaning."""
    if _has_many_items(content) and _has_many_items(_without_texts(content)):
        raise Unprocessable(_TOO_MANY)
    try:
        text = content.decode("utf-8-sig")
        # A call for each number doubles the time: only if one could be long. Each fourth of 20 digits: five.
        parse_int = _parse_int if b"00000" in content[::4].translate(_DIGITS) else None
        value = json.loads(text, parse_constant=_refuse_number, parse_int=parse_int, parse_float=_parse_float)
    except RecursionError:
        raise Unprocessable(_TOO_DEEP) from None
    except ValueError:
        raise BadRequest("The body is not a JSON text in UTF-8.") from None
    keys = _survey(value, escaped="\\" in text)
    # Each key has a colon, and the parser keeps one of two equal keys: then there are more colons than keys.
    if content.count(b":") != keys and _without_texts(content).count(b":") != keys:
        raise Unprocessable("A field is there twice.")
    return value


def parse_form(content: bytes) -> FormData:
    """Parse a URL-encoded form; raises `BadRequest` for a malformed or repeated field."""
    fields: list[tuple[str, str | UploadFile]] = []
    once: set[str] = set()
    pairs = list(filter(None, content.split(b"&")))  # an empty one is skipped (URL standard section 5.1)
    if len(pairs) > MAX_FORM_FIELDS:
        raise BadRequest("The form has too many fields.")
    for pair in pairs:
        name, separator, value = (_form_text(part) for part in pair.replace(b"+", b" ").partition(b"="))
        if not separator or name in once:
            raise BadRequest("The form has a malformed field, or one twice.")
        fields.append((name, value))
        if name != "resource":  # which a form may repeat (RFC 8707 section 2)
            once.add(name)
    return FormData(fields)


def _form_text(part: bytes) -> str:
    try:
        text = percent_decoded(part)
    except ValueError:
        text = "\0"
    if "\0" in text:
        raise BadRequest("The form is not URL-encoded UTF-8.")
    return text


def _refuse_number(_: str = "") -> NoReturn:
    raise Unprocessable("A number is not finite, or too long.")


def _parse_int(text: str) -> int:
    return int(text) if len(text) <= _LONGEST_NUMBER else _refuse_number()


def _parse_float(text: str) -> float:
    number = float(text) if len(text) <= _LONGEST_NUMBER else _refuse_number()
    return number if isfinite(number) else _refuse_number()


def _has_many_items(content: bytes) -> bool:
    return content.count(b",") > MAX_ITEMS or content.count(b"[") + content.count(b"{") > MAX_ITEMS


def _survey(value: Any, *, escaped: bool) -> int:
    """Check every value, level by level, which is faster than a call for each; returns the number of keys."""
    level = [value]
    keys = 0
    for _ in range(MAX_DEPTH + 1):
        of: defaultdict[type, list[Any]] = defaultdict(list)
        for item in level:
            of[type(item)].append(item)
        # No database column holds others (ASVS 1.4.2).
        if of[int] and not _SMALLEST_INT <= min(of[int]) <= max(of[int]) <= _LARGEST_INT:
            _refuse_number()
        if escaped:
            _check_text("".join(chain(of[str], *of[dict])))
        if not of[dict] and not of[list]:
            return keys
        objects = list(filter(None, of[dict]))
        sizes = list(map(len, objects))
        if max(sizes, default=0) > MAX_FIELDS:
            raise Unprocessable(_TOO_MANY)
        keys += sum(sizes)
        level = list(chain(chain.from_iterable(of[list]), chain.from_iterable(map(dict.values, objects))))
    raise Unprocessable(_TOO_DEEP)


def _check_text(text: str) -> None:
    """Reject NUL and lone surrogates, which come from an escape: databases and encoders fail on them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "\0"
    if "\0" in text:
        raise Unprocessable("A text holds a NUL or a lone surrogate.")


def _without_texts(content: bytes) -> bytes:
    """Take the texts out; raises `Unprocessable` if they are more than allowed items could hold."""
    content = content.replace(rb"\\", b"").replace(rb"\"", b"")
    # To split at each quote takes memory, and so time: first see that they are few. An item has a key and a text.
    if content.count(b'"') > 8 * MAX_ITEMS:
        raise Unprocessable(_TOO_MANY)
    return b"".join(content.split(b'"')[::2])
