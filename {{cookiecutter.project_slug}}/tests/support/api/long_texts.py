"""Texts that a column may not hold: longer when they are normalised than as they are sent, or no text to PostgreSQL."""

from collections.abc import Iterator

INTERNAL = 500
# What grows most in NFKC (to 18 characters), in NFC and in lower case; what is no text, and what is not seen.
_TEXTS = (
    "\ufdfa" * 30,
    "\ufdfa" * 64,
    "\ufdfa" * 100,
    "\U0001d160" * 60,
    "\u0390" * 100,
    "\u1f82" * 254,
    "\ufb03" * 60,
)
_NO_TEXT = ("a\0b", "\ud800", "\u202e" * 30, "\U0001f600" * 100)
_LENGTHS = (254, 508, 3000)


def awkward_texts() -> Iterator[str]:
    """What is to be tried in every field."""
    yield from _TEXTS
    yield from _NO_TEXT
    yield from ("a" * length for length in _LENGTHS)


def awkward_addresses() -> Iterator[str]:
    """E-mail addresses with these texts as their local part, and the longest as their domain."""
    yield from (f"{text}@people.example" for text in awkward_texts())
    yield from (f"somebody@{'.'.join((character * 30,) * 4)}.example" for character in ("a", "\ufdfa", "\u0390"))
