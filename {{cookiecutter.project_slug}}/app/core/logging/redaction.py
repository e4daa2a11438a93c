"""What a log line may hold: every value becomes bounded plain data, without secrets and on one line.

Secrets are found by the key they stand under, by their type, and by their shape in any text (ASVS 14.2.4, 16.2.5).
Characters that a terminal or a parser could act on are escaped (ASVS 16.4.1). Objects are shown by the name of their
type alone, unless their type is known to be harmless: nothing is trusted to have a discreet `repr`.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice
from pathlib import PurePath
from types import NoneType
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
_PAIR = 2  # a name and its value
_CUT = "…"
_JSON_INTEGERS = range(-(2**63), 2**64)
_CONTAINERS = (Mapping, tuple, list, set, frozenset)

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
    """Return whether what stands under this key is a secret, whatever it looks like."""
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
    """Take secrets and line ends out of a text, and cut it to `limit` characters and a mark."""
    if len(text) <= limit and text.isprintable() and not may_hold_secrets(text):
        return text
    # A secret is recognised in the double of what is kept, so that the cut cannot leave the half of one.
    kept = escape(redact_shapes(text[: 2 * limit])[: limit + 1])
    if len(kept) <= limit and len(text) <= 2 * limit:
        return kept
    return f"{kept[:limit]}{_CUT}[of {len(text)}]"


def redact_fields(fields: Mapping[str, object]) -> dict[str, Any]:
    """Turn the fields of a line into plain data that JSON can hold, within one bound; a cycle ends at `DEEPEST`."""
    return _Redactor().mapping(fields, DEEPEST)


class _Redactor:
    """Turns values into data, and stops when the budget of characters is spent."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = LONGEST_LINE

    def any(self, value: Any, depth: int) -> Any:
        """Turn a value into data; one whose own methods raise is shown by its type, and spoils nothing else."""
        if self._left <= 0 or depth < 0:
            return _CUT
        self._left -= _ITEM_COST
        try:
            show = _way_to_show(value)
            if show is not None:
                plain = show(value)
                return self._text(plain) if isinstance(plain, str) else plain
            if isinstance(value, tuple) and hasattr(value, "_asdict"):  # named
                value = value._asdict()
            return self.mapping(value, depth) if isinstance(value, Mapping) else self._items(value, depth)
        except Exception as error:
            return f"<unreadable {type(value).__qualname__}: {type(error).__qualname__}>"

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
            name = key if type(key) is str else str((_way_to_show(key) or _opaque)(key))
            hidden = (is_sensitive(name) or (told and name == "value")) and not _tells_nothing(item)
            shown = name if name.isidentifier() and len(name) <= _LONGEST_NAME else redact_text(name, _LONGEST_KEY)
            self._left -= len(shown)
            data[shown] = MASK if hidden else self.any(item, depth - 1)
        return data if len(value) <= MOST_ITEMS else data | {_CUT: f"{len(value)} items"}

    def _items(self, value: Iterable[object], depth: int) -> list[Any]:
        items = list(islice(value, MOST_ITEMS + 1))
        data: list[Any] = []
        hidden = False
        for item in items[:MOST_ITEMS]:
            data.append(MASK if hidden and not _tells_nothing(item) else self.any(item, depth - 1))
            hidden = _is_name_of_secret(item, bare=len(items) != _PAIR) or _tells_of_secret(item)
        return data if len(items) <= MOST_ITEMS else [*data, _CUT]


def _is_name_of_secret(item: object, *, bare: bool = True) -> bool:
    """Return whether the item is the name of a secret; a `bare` name is one word, as an option is."""
    if isinstance(item, bytes):
        item = item[:_LONGEST_KEY].decode("latin-1")
    return isinstance(item, str) and (not bare or _BARE_NAME.fullmatch(item) is not None) and is_sensitive(item)


def _tells_of_secret(item: object) -> bool:
    """Return whether the item is a pair such as `("name", "password")`, before the pair with the value."""
    return (
        isinstance(item, tuple | list)
        and len(item) == _PAIR
        and item[0] in _NAMING_KEYS
        and _is_name_of_secret(item[1], bare=False)
    )


def _tells_nothing(item: object) -> bool:
    """Return whether the value may be shown whatever its name is: it only tells whether there is one."""
    return item is None or isinstance(item, bool)


def _integer(value: int) -> _Plain:
    number = int(value)
    return number if number in _JSON_INTEGERS else f"<integer of {number.bit_length()} bits>"


def _opaque(value: object) -> _Plain:
    shown = value if hasattr(value, "__qualname__") else type(value)
    return f"<{getattr(shown, '__module__', '')}.{shown.__qualname__}>"


# In this order: a truth value is an integer too, and an enumeration of texts is a text too and shows its value.
_SCALARS: tuple[tuple[tuple[type, ...], Callable[[Any], _Plain]], ...] = (
    ((bool, NoneType), lambda value: value),
    ((SecretStr, SecretBytes, Secret), lambda _: MASK),
    ((Enum,), lambda member: member.value if isinstance(member.value, str | int) else member.name),
    ((str,), str),
    ((int,), _integer),
    ((float,), lambda value: float(value) if math.isfinite(value) else str(float(value))),
    ((bytes, bytearray, memoryview), lambda value: f"<{len(value)} bytes>"),  # keys and bodies are bytes
    ((BaseException,), lambda error: f"{type(error).__name__}: {error}"),
    ((date, time, timedelta, Decimal, PurePath, UUID), str),
    ((IPv4Address, IPv6Address, IPv4Network, IPv6Network), str),
)
_BY_TYPE = {kind: show for kinds, show in _SCALARS for kind in kinds}


def _way_to_show(value: object) -> Callable[[Any], _Plain] | None:
    """Return what shows the value in one piece; None for a container."""
    show = _BY_TYPE.get(type(value))
    if show is None and not isinstance(value, _CONTAINERS):
        show = next((show for kinds, show in _SCALARS if isinstance(value, kinds)), _opaque)
    return show
