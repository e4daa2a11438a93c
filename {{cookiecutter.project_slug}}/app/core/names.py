"""Names as people write them, in every script: what no name holds is refused, and nothing that somebody is called.

Controls, line breaks, private use and characters without a meaning are refused, and so are format characters, which are
not seen and can turn text around. The joiners are format characters too, but Persian, the scripts of India and emoji
need them: they stand where they join something (RFC 5892 appendix A). A character that this Python's Unicode does not
know yet is text: it depends on the version which those are.
"""

import re
import unicodedata

_JOINERS = "\u200c\u200d"
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_VIRAMA = 9  # Unicode's combining class
_SKIN_TONES = range(0x1F3FB, 0x1F400)
# Never assigned, or not to be seen whenever they are.
_MEANINGLESS = re.compile("[\u2065\ufdd0-\ufdef\ufff0-\ufff8\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]")
# Each letter stands for a character; J for a joiner. Possessive, so that it takes as long as the text.
_JOINED = re.compile(
    r"(?:l(?:m|vJ?+|(?<!J)J(?=[lmvu]))*+"  # Letters without case, and their marks: on both sides, or after a virama.
    r"|e m*+(?:J(?=[eu]))?+"  # Pictures, on both sides.
    r"|u(?:m|vJ?+|(?<!J)J(?=[elmvu]))*+"
    r"|[mv.])*+",
    re.VERBOSE,
)


def is_name(text: str) -> bool:
    """Whether a text on one line can be what something is called; it may be blank."""
    if text.isascii():
        return text.isprintable()
    if _MEANINGLESS.search(text) or any(ord(character) & 0xFFFE == 0xFFFE for character in text):  # noqa: PLR2004  # noncharacters
        return False
    kinds = "".join(map(_kind, text))
    return "-" not in kinds and ("J" not in kinds or _JOINED.fullmatch(kinds) is not None)


def _kind(character: str) -> str:
    """What a character can be joined as: l(etter), m(ark), v(irama), e(moji), u(nknown), J(oiner); `-` is refused."""
    category = unicodedata.category(character)
    if character in _JOINERS:
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
