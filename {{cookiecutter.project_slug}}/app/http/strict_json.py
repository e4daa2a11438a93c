"""Bodies with one meaning: what two parsers could read in two ways is read in none.

JSON after RFC 8259 in UTF-8: no duplicate key, no NaN or infinity, no NUL or lone surrogate in a text, bounded depth
and numbers. Forms as `application/x-www-form-urlencoded`: no duplicate or malformed field.
"""

import json
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from starlette.datastructures import FormData
from starlette.requests import Request

from app.core.errors import BadRequest, Unprocessable, UnsupportedMediaType

MAX_DEPTH = 32
MAX_FORM_FIELDS = 50

_LONGEST_NUMBER = 64
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_HEX = frozenset(b"0123456789abcdefABCDEF")


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
        _check_depth(text)
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_number,
            parse_int=_parse_int,
            parse_float=_parse_float,
        )
    except (ValueError, RecursionError):
        message = "The body is not a JSON text in UTF-8."
        raise BadRequest(message) from None
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
    escapes = part.split(b"%")[1:]
    if not part.isascii() or any(len(escape) < 2 or not _HEX.issuperset(escape[:2]) for escape in escapes):  # noqa: PLR2004
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
    return int(text) if len(text) <= _LONGEST_NUMBER else _refuse_number(text)


def _parse_float(text: str) -> float:
    number = float(text)
    if len(text) > _LONGEST_NUMBER or number in {float("inf"), float("-inf")}:
        _refuse_number(text)
    return number


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the parser recurses; brackets within texts are skipped."""
    depth = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                message = "The body is nested too deeply."
                raise Unprocessable(message)
        elif character in "]}":
            depth -= 1


def _check_texts(value: Any) -> None:
    """Refuse NUL and lone surrogates in every key and text: databases and encoders stumble over them."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            message = "A text holds a NUL or a lone surrogate."
            raise Unprocessable(message)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)
