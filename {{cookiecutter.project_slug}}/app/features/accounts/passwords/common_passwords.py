"""The list of common and breached passwords, `common_passwords.txt`; `docs/passwords.md` says where it comes from."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from app.features.accounts.passwords.hasher import SHORTEST_PASSWORD
from app.features.accounts.passwords.text import folded, read_as_letters

LIST = Path(__file__).with_name("common_passwords.txt")

_BETWEEN_WORDS = re.compile(r"[\W_]+")


class PasswordList(NamedTuple):
    """The passwords that are long enough to be set, read as letters; and the shorter ones that people fill up."""

    passwords: frozenset[str]
    words: Mapping[str, str]

    def has(self, text: str) -> bool:
        """Return whether a folded text is listed, also with other spaces and punctuation or digits around it."""
        return not self.passwords.isdisjoint(_spellings(text))

    def words_in(self, text: str) -> list[str]:
        """Return the words that a folded text may hold."""
        letters = read_as_letters(text)
        return [word for spelling, word in self.words.items() if spelling in letters]


@cache
def password_list() -> PasswordList:
    """Read the list when it is first needed."""
    entries = [folded(entry) for entry in listed_passwords()]
    return PasswordList(
        frozenset(spelling for entry in entries if len(entry) >= SHORTEST_PASSWORD for spelling in _spellings(entry)),
        {read_as_letters(entry): entry for entry in entries if len(entry) < SHORTEST_PASSWORD},
    )


def listed_passwords() -> list[str]:
    """Return the entries of the file, which follow its head."""
    return LIST.read_text(encoding="utf-8").partition("\n\n")[2].splitlines()


def _spellings(text: str) -> set[str]:
    """Read a folded text as letters: as it is, and without what may be between and around its words."""
    bare = _BETWEEN_WORDS.sub("", text)
    spellings = {text, bare, bare.strip("0123456789")}
    return {read_as_letters(spelling) for spelling in spellings if len(spelling) >= SHORTEST_PASSWORD}
