"""`app/core/names.py`: what something or somebody can be called."""

import time
import unicodedata

import pytest

from app.core.names import is_name

NAMES = {
    "a Persian name": "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
    "a Sinhala name": "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "a Malayalam name that ends in a joiner": "\u0d2e\u0d4b\u0d39\u0d28\u0d4d\u200d",
    "a Bengali word with a joiner before its virama": "\u09b0\u200d\u09cd\u09af\u09be\u09ac",
    "a Persian number and its ending": "\u06f1\u06f0\u200c\u0633\u0627\u0644\u0647",
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "a skin tone": "\U0001f469\U0001f3fd\u200d\U0001f4bb",
    "a heart on fire": "\u2764\ufe0f\u200d\U0001f525",
    "a head that shakes": "\U0001f642\u200d\u2194\ufe0f",
    "an emoji of Unicode 15": "\U0001fa77",
    "an ideograph of Unicode 15.1": "\U0002ebf0",
    "a character of no version yet": "\u0378",
    "a character of no version yet, joined": "\U0001faff\u200d\U0001faff",
    "an ideograph's variant": "\u845b\U000e0100\u57ce",
    "Hebrew, Arabic, combining marks": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 e\u0301",
    "anything in ASCII": "O'Neil & Sons <b>{{ 1 }}</b>",
}
NONE = {
    "a control": "a\x07b",
    "a line break": "a\nb",
    "DEL": "a\x7fb",
    "a C1 control": "a\x85b",
    "a line separator": "a\u2028b",
    "a bidirectional override": "a\u202eb",
    "a bidirectional isolate": "a\u2066b",
    "a bidirectional mark": "a\u200fb",
    "a zero-width space": "a\u200bb",
    "a soft hyphen": "a\u00adb",
    "a byte order mark": "\ufeffa",
    "a tag": "\U000e0041",
    "private use": "\ue000",
    "half a character": "\ud800",
    "a noncharacter": "\U0001ffff",
    "an Arabic noncharacter": "\ufdd0",
    "what is never to be seen": "a\U000e0fffb",
    "a joiner alone": "\u200d",
    "a joiner before": "\u200d\u0631",
    "a joiner after": "\u0631\u200c",
    "a joiner before a space": "\u0631\u200c \u0631",
    "two joiners": "\u0631\u200c\u200c\u0631",
    "two joiners after a virama": "\u0d28\u0d4d\u200d\u200d\u0d28",
    "a joiner in Latin": "ad\u200cmin",
    "a joiner in Latin with marks": "e\u0301\u200de\u0301",
    "a joiner in Cyrillic": "\u0430\u200d\u0434",
    "a joiner between digits": "1\u200d2",
    "a joiner from an emoji to a letter": "\U0001f468\u200da",
    "a joiner after an emoji": "\U0001f468\u200d",
}


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
def test_takes_names_of_every_script(text: str) -> None:
    """Joiners join, and what this Python does not know yet is text."""
    assert is_name(text)


@pytest.mark.asvs("1.3.3")
@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_refuses_what_is_not_seen(text: str) -> None:
    """Or acts on a terminal, a log or the order in which a text reads; and joiners that join nothing."""
    assert not is_name(text)


def test_depends_on_no_version_of_unicode() -> None:
    """Every character that is not assigned is text, but for those that never will be, or never will be seen."""
    unassigned = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cn"]
    refused = {ord(character) for character in unassigned if not is_name(character)}
    never_seen = {0x2065, *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)}
    never_assigned = {*range(0xFDD0, 0xFDF0), *(plane << 16 | end for plane in range(17) for end in (0xFFFE, 0xFFFF))}
    assert refused <= never_seen | never_assigned
    assert never_assigned <= refused


@pytest.mark.asvs("15.2.2")
@pytest.mark.parametrize("part", ["\u0378", "\u0dca\u200d", "\u0631\u200d", "\U0001f468\u200d", "\u0301"])
def test_takes_as_long_as_the_text(part: str) -> None:
    """Nothing is tried twice."""
    began = time.thread_time()
    is_name(part * 5000 + "\u200d\u200d")
    assert time.thread_time() - began < 0.5
