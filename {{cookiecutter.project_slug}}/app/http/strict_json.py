"""Bodies with one meaning: what two parsers could read in two ways is read in none.

JSON after RFC 8259 in UTF-8: no duplicate key, no NaN or infinity, no NUL or lone surrogate in a text, bounded depth
and numbers. Forms as `application/x-www-form-urlencoded`: no duplicate or malformed field.
"""

import json
import re
from itertools import chain
from math import isfinite
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from starlette.datastructures import FormData
from starlette.requests import Request

from app.core.errors import BadRequest, Unprocessable, UnsupportedMediaType

MAX_DEPTH = 32
MAX_FORM_FIELDS = 50

_LONGEST_NUMBER = 64
_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_TOO_DEEP = "The body is nested too deeply."
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


class StrictRequest(Request):
    """A request whose body is read strictly, once, before the framework reads it."""

    async def load(self, *, form: bool) -> None:
        """Read and parse the body; raises a `Problem` that the framework would turn into another error."""
        self._require_media_type(_FORM if form else _JSON)
        content = await self.body()
        if form:
            self._form = parse_form(content)
        elif content:
            self._json = parse_json(content)

    def _require_media_type(self, expected: str) -> None:
        values = self.headers.getlist("Content-Type")
        media_type, _, parameters = values[0].partition(";") if len(values) == 1 else ("", "", "")
        utf8 = parameters.strip().lower().replace('"', "") in {"", "charset=utf-8"}
        if media_type.strip().lower() != expected or not utf8 or "Content-Encoding" in self.headers:
            message = f"The body must be {expected} in UTF-8."
            raise UnsupportedMediaType(message, headers={"Accept": expected})


def parse_json(content: bytes) -> Any:
    """Parse a JSON text; raises `BadRequest` for what is no JSON, `Unprocessable` for what has no single meaning."""
    try:
        text = content.decode()
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_number,
            parse_int=_parse_int,
            parse_float=_parse_float,
        )
    except RecursionError:
        raise Unprocessable(_TOO_DEEP) from None
    except ValueError:
        message = "The body is not a JSON text in UTF-8."
        raise BadRequest(message) from None
    # Each looks at every value, so only where the text can hold what it looks for: a request stays cheap.
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    if "\\u" in text:
        _check_texts(value)
    return value


def parse_form(content: bytes) -> FormData:
    """Parse a URL-encoded form; raises `BadRequest` for what is malformed or there twice."""
    fields: dict[str, str] = {}
    pairs = content.split(b"&") if content else []
    if len(pairs) > MAX_FORM_FIELDS:
        message = "The form has too many fields."
        raise BadRequest(message)
    for pair in pairs:
        name, separator, value = (_form_text(part) for part in pair.replace(b"+", b" ").partition(b"="))
        if not separator or name in fields:
            message = "The form has a malformed field, or one twice."
            raise BadRequest(message)
        fields[name] = value
    return FormData(fields)


def _form_text(part: bytes) -> str:
    message = "The form is not URL-encoded UTF-8."
    if not part.isascii() or _BAD_ESCAPE.search(part):
        raise BadRequest(message)
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise BadRequest(message) from None
    if "\0" in text:
        raise BadRequest(message)
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        message = "A field is there twice."
        raise Unprocessable(message)
    return fields


def _refuse_number(_: str) -> NoReturn:
    message = "A number is not finite, or too long."
    raise Unprocessable(message)


def _parse_int(text: str) -> int:
    number = int(text) if len(text) <= _LONGEST_NUMBER else _refuse_number(text)
    # What no database column holds (ASVS 1.4.2).
    return number if _SMALLEST_INT <= number <= _LARGEST_INT else _refuse_number(text)


def _parse_float(text: str) -> float:
    number = float(text) if len(text) <= _LONGEST_NUMBER else _refuse_number(text)
    return number if isfinite(number) else _refuse_number(text)


def _check_depth(value: Any) -> None:
    """Refuse deep nesting: whatever walks the value later may recurse."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return
        level = list(chain.from_iterable(item.values() if isinstance(item, dict) else item for item in containers))
    raise Unprocessable(_TOO_DEEP)


def _check_texts(value: Any) -> None:
    """Refuse NUL and lone surrogates in every key and text: databases and encoders stumble over them."""
    if isinstance(value, str):
        if "\0" in value or _SURROGATE.search(value):
            message = "A text holds a NUL or a lone surrogate."
            raise Unprocessable(message)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)
