"""What a log line never shows: secrets, by the name of their field, by their type, and by their shape.

Names catch what is known, shapes what slips through: a token in an exception's text, a password in a URL. Everything
is bounded, and no character can forge a line (ASVS 16.2.5, 16.4.1).
"""

import re
import unicodedata
from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import SecretBytes, SecretStr

MASK = "**********"
LONGEST_TEXT = 2048

_DEEPEST = 6
_MOST_ITEMS = 50

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token|authori[sz]ation|cookie|api[_-]?key|private[_-]?key|credential|"
    r"^(pwd|jwt|otp|pin|dsn|session)$|(database|redis|smtp)_url",
    re.IGNORECASE,
)
_SECRET_SHAPES = (
    # JSON Web Tokens, whole or without their signature.
    re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"),
    # Refresh tokens of this service.
    re.compile(r"rt_[A-Za-z0-9_-]{20,}"),
    # Credentials of an Authorization header.
    re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/=-]{6,}|(?<=\bbasic )[A-Za-z0-9+/=]{6,}"),
    # User and password in a URL.
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
    # A password hash.
    re.compile(r"\$(?:argon2(?:id|i|d)|2[aby]|scrypt)\$[^\s'\"]+"),
    # A private key, to its end or to that of the text.
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    # `password=…` in a form, a query, or a dictionary's text.
    re.compile(
        r"(?i)(?<=password)['\"]?\s*[=:]\s*[^\s&,;})]+|(?<=passwd)['\"]?\s*[=:]\s*[^\s&,;})]+"
        r"|(?<=secret)['\"]?\s*[=:]\s*[^\s&,;})]+|(?<=token)['\"]?\s*[=:]\s*[^\s&,;})]+"
    ),
    # The values in PostgreSQL's detail of a broken constraint.
    re.compile(r"(?<=\)=\().*?(?=\) (?:already exists|is not present|conflicts))", re.DOTALL),
)
# A text without any of these needs no search for a shape.
_HINTS = re.compile(r"(?i)eyJ|rt_|bearer|basic|://|\$|PRIVATE KEY|passw|secret|token|\)=\(")
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    return bool(_SECRET_NAME.search(name)) and not name.endswith(("_type", "_id", "_count", "_hint"))


def redact(value: Any, depth: int = 0) -> Any:
    """The value as it may be logged: JSON types only, masked, bounded and printable."""
    if value is None or (isinstance(value, bool | int | float) and not isinstance(value, Enum)):
        return value
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    if isinstance(value, str):
        return redact_text(str(value.value) if isinstance(value, Enum) else value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return redact_fields(value, depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth + 1) for item in list(value)[:_MOST_ITEMS]]
    return redact_text(_text(value))


def redact_fields(fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """The fields with the secret ones masked, by name or by value."""
    return {
        redact_text(str(name)): MASK if is_secret_name(str(name)) and value is not None else redact(value, depth)
        for name, value in list(fields.items())[:_MOST_ITEMS]
    }


def redact_text(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text without what looks like a secret, cut, with everything escaped that is not printable."""
    if _HINTS.search(text):
        for shape in _SECRET_SHAPES:
            text = shape.sub(MASK, text)
    if len(text) > longest:
        text = f"{text[:longest]}… ({len(text)} characters)"
    return text if text.isprintable() else "".join(_printable(character) for character in text)


def _printable(character: str) -> str:
    if unicodedata.category(character) not in _UNPRINTABLE:
        return character
    return character.encode("unicode_escape").decode("ascii")


def _text(value: object) -> str:
    """A text for any object; one whose text cannot be made does not cost the line."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # whatever a foreign `__str__` raises
        return f"<{type(value).__name__}>"
