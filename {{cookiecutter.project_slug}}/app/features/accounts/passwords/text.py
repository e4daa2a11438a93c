"""The form of a password that is hashed, and the forms in which passwords are compared."""

import unicodedata
from collections.abc import Iterable

# Digits and signs that stand for letters. `l` is one of them: it and `i` are both written `1`.
_LETTER_OF = {"o": "0", "i": "1!|l", "z": "2", "e": "3€", "a": "4@", "s": "5$", "g": "69", "t": "7+", "b": "8"}
_CROSSED_OUT = "\0"
_LOOK_ALIKES = {ord(sign): letter for letter, signs in _LETTER_OF.items() for sign in signs}
# Unicode's general categories: numbers, punctuation, separators, controls; signs that are no pictures.
_PADDING_CATEGORIES = frozenset("NPZC")
_PADDING_SIGNS = frozenset({"Sc", "Sk", "Sm"})


def normalized(text: str) -> str:
    """Return one form for all ways to compose the same characters (NIST SP 800-63B-4 section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", text)


def folded(text: str) -> str:
    """Return the text without the difference of upper and lower case."""
    return normalized(normalized(text).casefold())


def read_as_letters(text: str) -> str:
    """Return a folded text of the same length, digits and signs as letters (`p4$$w0rd`: `password`), and `l` as `i`."""
    return text.translate(_LOOK_ALIKES)


def without_padding(text: str) -> str:
    """Return the letters of every script, and pictures such as emoji: no digits, punctuation, spaces or the like."""
    categories = ((character, unicodedata.category(character)) for character in text)
    return "".join(
        character
        for character, category in categories
        if category[0] not in _PADDING_CATEGORIES and category not in _PADDING_SIGNS
    )


def without_words(text: str, words: Iterable[str]) -> str:
    """Return a folded text without the folded words, however they are spelled; longer words are taken out first."""
    letters = read_as_letters(text)
    for word in sorted(words, key=len, reverse=True):
        letters = _cross_out(text, letters, word)
    return "".join(character for character, letter in zip(text, letters, strict=True) if letter != _CROSSED_OUT)


def _cross_out(text: str, letters: str, word: str) -> str:
    sought = read_as_letters(word)
    start = letters.find(sought)
    while start >= 0:
        end = start + len(sought)
        part = text[start:end]
        # Most random digits read like a word, too.
        if part == word or len(without_padding(part)) * 2 >= len(part):
            letters = letters[:start] + _CROSSED_OUT * len(sought) + letters[end:]
        start = letters.find(sought, start + 1)
    return letters
