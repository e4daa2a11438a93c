"""What a log line may hold: every value becomes bounded plain data, without secrets and on one line.

Secrets are found by the key they stand under, by their type, and by their shape in any text (ASVS 14.2.4, 16.2.5).
Characters that a terminal or a parser could act on are escaped (ASVS 16.4.1). Objects are shown by the name of their
type alone, unless their type is known to be harmless: nothing is trusted to have a discreet `repr`.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import Secret, SecretBytes, SecretStr

from app.core.logging.secret_shapes import MASK, may_hold_secrets, redact_shapes

LONGEST_TEXT = 2048
LONGEST_LINE = 16_384
DEEPEST = 6
MOST_ITEMS = 64

_LONGEST_KEY = 64
_LONGEST_NAME = 32  # shorter than any secret that could pass for a name
_ITEM_COST = 8
_LOOKED_AT_FOR_ONE = 4  # characters that are looked at cost as much as one that is shown
_NAMING_KEYS = ("name", "key")  # of an object that also has a `value`, as headers and fields are written
_CUT = "…"
_INT64 = range(-(2**63), 2**64)

# A key is sensitive when one of these is in it, once it is lower case and without separators …
_SENSITIVE = re.compile(
    "passw|passphrase|secret|token|authori[sz]ation|cookie|credential|bearer"
    "|(?:api|private|signing|encryption|access|master|session)key|codeverifier|recoverycode|assertion"
)
# … or when one of its words is one of these, which are too short to be looked for inside of others.
_SENSITIVE_WORDS = frozenset({"auth", "csrf", "input", "jwt", "otp", "pass", "pin", "pw", "pwd", "totp", "xsrf"})
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
# A name of a value, or an option of a command, that stands before its value in a list of any length.
_BARE_NAME = re.compile(r"-{0,2}[A-Za-z_][\w.\[\]-]*")
_SEPARATORS = str.maketrans("", "", "-_. :[]")

_Plain = str | int | float | bool | None


def is_sensitive(key: str) -> bool:
    """Whether what stands under this key is a secret, whatever it looks like."""
    return _is_sensitive(key) if len(key) <= _LONGEST_KEY else _is_sensitive.__wrapped__(key[:LONGEST_TEXT])


@lru_cache(maxsize=1024)
def _is_sensitive(key: str) -> bool:
    if _SENSITIVE.search(key.lower().translate(_SEPARATORS)):
        return True
    return not _SENSITIVE_WORDS.isdisjoint(word.lower() for word in _WORD.findall(key))


def escape(text: str) -> str:
    """Write every character that is not printable as its escape: controls, line ends, bidi marks, surrogates."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def redact_text(text: str, limit: int = LONGEST_TEXT) -> str:
    """The text without secrets, on one line, and at most `limit` characters and a mark long."""
    if len(text) <= limit and text.isprintable() and not may_hold_secrets(text):
        return text
    # A secret is recognised in the double of what is kept, so that the cut cannot leave the half of one.
    kept = escape(redact_shapes(text[: 2 * limit])[: limit + 1])
    if len(kept) <= limit and len(text) <= 2 * limit:
        return kept
    return f"{kept[:limit]}{_CUT}[of {len(text)}]"


def redact(value: object) -> Any:
    """The value as plain data of bounded size that JSON can hold; never raises `RecursionError` for a cycle."""
    return _Redactor().any(value, DEEPEST)


def redact_fields(fields: Mapping[str, object]) -> dict[str, Any]:
    """The fields of a line, within one common budget."""
    return _Redactor().mapping(fields, DEEPEST)


class _Redactor:
    """Turns values into data, and stops when the budget of characters is spent."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = LONGEST_LINE

    def any(self, value: object, depth: int) -> Any:
        """The value as data; one whose own methods raise is shown by its type, and spoils nothing else."""
        if self._left <= 0 or depth < 0:
            return _CUT
        self._left -= _ITEM_COST
        try:
            return self._data(value, depth)
        except Exception as error:  # noqa: BLE001  # whatever a foreign object raises
            return f"<unreadable {type(value).__qualname__}: {type(error).__qualname__}>"

    def _data(self, value: object, depth: int) -> Any:
        plain = _SCALARS.get(type(value))
        if plain is None and not isinstance(value, _CONTAINERS):
            plain = _scalar_of(value)
        if plain is not None:
            data = plain(value)
            return self._text(data) if isinstance(data, str) else data
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if hasattr(value, "_asdict"):  # a named tuple, or a row of the database
            return self.mapping(value._asdict(), depth)
        return self._items(value, depth)  # type: ignore[arg-type]

    def _text(self, text: str) -> str:
        limit = min(LONGEST_TEXT, max(self._left, _ITEM_COST))
        shown = redact_text(text, limit)
        # What was looked at costs too: a long text may leave a short mask.
        self._left -= max(len(shown), min(len(text), 2 * limit) // _LOOKED_AT_FOR_ONE)
        return shown

    def mapping(self, value: Mapping[Any, object], depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        told = any(_is_name_of_secret(value.get(key)) for key in _NAMING_KEYS)
        for key, item in islice(value.items(), MOST_ITEMS):
            name = key if type(key) is str else str(_scalar(key))
            hidden = (is_sensitive(name) or (told and name == "value")) and not _tells_nothing(item)
            shown = name if name.isidentifier() and len(name) <= _LONGEST_NAME else redact_text(name, _LONGEST_KEY)
            self._left -= len(shown)
            data[shown] = MASK if hidden else self.any(item, depth - 1)
        return data if len(value) <= MOST_ITEMS else data | {_CUT: f"{len(value)} items"}

    def _items(self, value: "Iterable[object]", depth: int) -> list[Any]:
        items = list(islice(value, MOST_ITEMS + 1))
        is_pair = len(items) == 2  # noqa: PLR2004  # a name and its value
        data: list[Any] = []
        hidden = False
        for item in items[:MOST_ITEMS]:
            data.append(MASK if hidden and not _tells_nothing(item) else self.any(item, depth - 1))
            hidden = _is_name_of_secret(item, bare=not is_pair)
        return data if len(items) <= MOST_ITEMS else [*data, _CUT]


def _is_name_of_secret(item: object, *, bare: bool = True) -> bool:
    """Whether the item is the name of a secret; a `bare` name is one word, as an option is."""
    if isinstance(item, bytes):
        item = item[:_LONGEST_KEY].decode("latin-1")
    return isinstance(item, str) and (not bare or _BARE_NAME.fullmatch(item) is not None) and is_sensitive(item)


def _tells_nothing(item: object) -> bool:
    """Whether the value may be shown whatever its name is: it only tells whether there is one."""
    return item is None or isinstance(item, bool)


def _integer(value: Any) -> _Plain:
    number = int(value)
    return number if number in _INT64 else f"<integer of {number.bit_length()} bits>"


def _real(value: Any) -> _Plain:
    return float(value) if math.isfinite(value) else str(float(value))


def _bytes(value: Any) -> _Plain:
    """The size alone: keys and bodies are bytes."""
    return f"<{len(value)} bytes>"


def _member(value: Any) -> _Plain:
    return value.value if isinstance(value.value, str | int) else str(value.name)


def _error(value: Any) -> _Plain:
    return f"{type(value).__name__}: {value}"


def _masked(_: Any) -> _Plain:
    return MASK


def _itself(value: Any) -> _Plain:
    return value  # type: ignore[no-any-return]


def _opaque(value: object) -> _Plain:
    shown = value if hasattr(value, "__qualname__") else type(value)
    return f"<{getattr(shown, '__module__', '')}.{shown.__qualname__}>"


_CONTAINERS = (Mapping, tuple, list, set, frozenset)
_SHOWN_AS_TEXT: tuple[type, ...] = (
    UUID,
    datetime,
    date,
    time,
    timedelta,
    Decimal,
    IPv4Address,
    IPv6Address,
    IPv4Network,
    IPv6Network,
)
_SCALARS: dict[type, Callable[[Any], _Plain]] = {
    str: _itself,
    bool: _itself,
    type(None): _itself,
    int: _integer,
    float: _real,
}
_SCALARS.update(dict.fromkeys(_SHOWN_AS_TEXT, str))
# In this order: an enumeration of texts is a text too, and shows its value.
_SUBCLASSES: tuple[tuple[type | tuple[type, ...], Callable[[Any], _Plain]], ...] = (
    ((SecretStr, SecretBytes, Secret), _masked),
    (Enum, _member),
    (str, str),
    (int, _integer),
    (float, _real),
    ((bytes, bytearray, memoryview), _bytes),
    (BaseException, _error),
    ((PurePath, datetime, date, Decimal, UUID), str),
)


def _scalar_of(value: object) -> Callable[[Any], _Plain]:
    return next((plain for kind, plain in _SUBCLASSES if isinstance(value, kind)), _opaque)


def _scalar(value: object) -> _Plain:
    """A value that is shown in one piece, such as the key of a mapping."""
    return _SCALARS.get(type(value), _scalar_of(value))(value)
