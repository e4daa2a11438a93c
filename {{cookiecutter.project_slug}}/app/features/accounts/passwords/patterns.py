"""Find what makes a password longer, but not harder to guess. Functions take folded text, and linear time."""

import re

from app.core.settings.rules import repeats
from app.features.accounts.passwords.text import without_padding

_SHORTEST_WALK = 4
_WALKS = (
    "0123456789012",
    "abcdefghijklmnopqrstuvwxyz",
    # Rows: QWERTY, QWERTZ, AZERTY, and the signs above the digits.
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiopü",
    "yxcvbnm,.-",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "!@#$%^&*()_+",
    '!"£$%^&*()',
    '!"§$%&/()=?',
    # Columns, and zigzags between two rows.
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "qazwsxedcrfvtgbyhnujmik,ol.p;/",
    "q1w2e3r4t5y6u7i8o9p0",
    "1q2w3e4r5t6y7u8i9o0p",
    "qawsedrftgyhujikolp",
)
_STEPS_OF_WALKS = frozenset(
    walk[start : start + _SHORTEST_WALK]
    for line in _WALKS
    for walk in (line, line[::-1])
    for start in range(len(line) - _SHORTEST_WALK + 1)
)

_LONGEST_UNIT = 14
_SAME = re.compile(r"(.)\1+", re.DOTALL)
_REPEATED_UNIT = re.compile(rf"(.{{2,{_LONGEST_UNIT}}}?)\1+", re.DOTALL)

_LONGEST_NUMBER = 4
_STEPS = (1, -1, 2, -2, 5, 10)


def essence(text: str) -> str:
    """Return what is left if repeated characters and units are kept once and walks are crossed out."""
    return _REPEATED_UNIT.sub(r"\1", _without_walks(_SAME.sub(r"\1", text)))


def is_repetition(text: str) -> bool:
    """Return whether the text, or its letters if they are most of it, repeats a unit of at most 14 characters."""
    core = without_padding(text)
    return repeats(text, _LONGEST_UNIT) or (len(core) * 2 > len(text) and repeats(core, _LONGEST_UNIT))


def is_count(text: str) -> bool:
    """Return whether the text is numbers in equal steps: `101112131415161`, `2 4 6 8 10 12 14`."""
    digits = "".join(character for character in text if character.isdecimal())
    if not digits.isascii() or without_padding(text):
        return False
    starts = (int(digits[:width]) for width in range(1, _LONGEST_NUMBER + 1) if digits)
    counts = ((start + step * number for number in range(len(digits))) for start in starts for step in _STEPS)
    return any("".join(map(str, count)).startswith(digits) for count in counts)


def _without_walks(text: str) -> str:
    starts = (start for start in range(len(text)) if text[start : start + _SHORTEST_WALK] in _STEPS_OF_WALKS)
    walked = {start + step for start in starts for step in range(_SHORTEST_WALK)}
    return "".join(character for place, character in enumerate(text) if place not in walked)
