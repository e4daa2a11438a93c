"""Names as people write them, in every script, without characters that no name holds.

Refused are controls, line breaks, private use, characters without a meaning, and format characters, which can turn text
around. Of these, joiners are accepted where they join something, as in Persian, the scripts of India and emoji (RFC
5892 appendix A). A character that this Python does not know yet is text: the answer does not depend on the version.
"""

import re
import unicodedata

_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_VIRAMA = 9  # Unicode's combining class
_SKIN_TONES = range(0x1F3FB, 0x1F400)
# The last two of each plane are never assigned, as are those from U+FDD0; the others are not to be seen if they are.
_NONCHARACTERS = "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
_MEANINGLESS = re.compile(
    f"[\u2065\ufdd0-\ufdef\ufff0-\ufff8\U000e0000-\U000e00ff\U000e01f0-\U000e0fff{_NONCHARACTERS}]"
)
# Each letter stands for a character; J for a joiner. What a group finds by looking ahead is taken whole, so it takes as
# long as the text. Possessive quantifiers of groups do the same, and go wrong in Python 3.11 before 3.11.5.
_JOINED = re.compile(
    r"(?:(?=(l(?:m|vJ?|(?<!J)J(?=[lmvu]))*))\1"  # Letters without case: on both sides, or after a virama.
    r"|(?=(em*(?:J(?=[eu]))?))\2"  # Pictures, on both sides.
    r"|(?=(u(?:m|vJ?|(?<!J)J(?=[elmvu]))*))\3|[mv.])*"
)


def is_name(text: str) -> bool:
    """Return whether a text on one line can be what something is called; it may be blank."""
    if text.isascii():
        return text.isprintable()
    kinds = "".join(map(_kind, text))
    refused = "-" in kinds or _MEANINGLESS.search(text) is not None
    return not refused and ("J" not in kinds or _JOINED.fullmatch(kinds) is not None)


def clean_name(text: str) -> str:
    """Return a name without the space around it; raises `ValueError` for one that is blank or no name."""
    if not is_name(text):
        raise ValueError("must not hold control or formatting characters")
    if not text.strip():
        raise ValueError("must not be blank")
    return text.strip()


def _kind(character: str) -> str:
    """Say what a character is joined as: l(etter), m(ark), v(irama), e(moji), u(nknown), J(oiner); `-` is refused."""
    category = unicodedata.category(character)
    if character in "\u200c\u200d":
        kind = "J"
    elif category in _REFUSED:
        kind = "-"
    elif category == "Cn":
        kind = "u"
    elif category.startswith("M"):
        kind = "v" if unicodedata.combining(character) == _VIRAMA else "m"
    elif category in {"Lo", "Lm"} or (category == "Nd" and not character.isascii()):
        kind = "l"
    elif category == "So" or ord(character) in _SKIN_TONES or character == "\u2194":
        kind = "e"
    else:
        kind = "."
    return kind
