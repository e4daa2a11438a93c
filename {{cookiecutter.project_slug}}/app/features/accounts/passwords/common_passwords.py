"""The list of common and breached passwords, in `common_passwords.txt`; `docs/passwords.md` says where it comes from.

`uv run python -m app.features.accounts.passwords.common_passwords FILE` makes it anew from a file of passwords, one on
a line, the most frequent first. The head of the list, up to its first empty line, stays: correct it by hand.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from app.features.accounts.passwords.hasher import LONGEST_PASSWORD, SHORTEST_PASSWORD
from app.features.accounts.passwords.text import folded, read_as_letters, without_padding

LIST = Path(__file__).with_name("common_passwords.txt")
COMMON_WORDS = 1000
SHORTEST_WORD = 4
FAMOUS = (
    "correct horse battery staple",
    "lorem ipsum dolor sit amet",
    "may the force be with you",
    "the quick brown fox jumps over the lazy dog",
    "to be or not to be that is the question",
)
"""What comes to mind where a passphrase is asked for. Breaches of the past hold few of them."""

_DIGITS = "0123456789"
_BETWEEN_WORDS = re.compile(r"[\W_]+")


class PasswordList(NamedTuple):
    """The passwords that are long enough to be set, read as letters; and the shorter ones that people fill up."""

    passwords: frozenset[str]
    words: Mapping[str, str]

    def has(self, text: str) -> bool:
        """Whether a folded text is on the list, also with other spaces and punctuation or digits around it."""
        return not self.passwords.isdisjoint(_spellings(text))

    def words_in(self, text: str) -> list[str]:
        """The words that a folded text may hold."""
        letters = read_as_letters(text)
        return [word for spelling, word in self.words.items() if spelling in letters]


@cache
def password_list() -> PasswordList:
    """The list, read when it is first asked for."""
    entries = [folded(entry) for entry in (*FAMOUS, *listed_passwords())]
    return PasswordList(
        frozenset(spelling for entry in entries if len(entry) >= SHORTEST_PASSWORD for spelling in _spellings(entry)),
        {read_as_letters(entry): entry for entry in entries if len(entry) < SHORTEST_PASSWORD},
    )


def listed_passwords() -> list[str]:
    """The entries as they stand in the file."""
    return LIST.read_text(encoding="utf-8").partition("\n\n")[2].splitlines()


def entries_of(ranked: Iterable[str]) -> list[str]:
    """What the list takes of passwords in their order: all that could be set, and the most common shorter words."""
    passwords = dict.fromkeys(ranked)
    long = [password for password in passwords if SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD]
    short = [password for password in passwords if len(password) < SHORTEST_PASSWORD and _is_word(password)]
    return sorted({*long, *short[:COMMON_WORDS]})


def _is_word(password: str) -> bool:
    return len(without_padding(password)) >= SHORTEST_WORD


def _spellings(text: str) -> set[str]:
    """A folded text read as letters: as it is, and without what may stand between and around its words."""
    bare = _BETWEEN_WORDS.sub("", text)
    spellings = {text, bare, bare.strip(_DIGITS)}
    return {read_as_letters(spelling) for spelling in spellings if len(spelling) >= SHORTEST_PASSWORD}


def rebuild(source: Path, target: Path = LIST) -> None:
    """Write the list anew; its head stays."""
    head = target.read_text(encoding="utf-8").partition("\n\n")[0]
    lines = source.read_text(encoding="utf-8").split("\n")
    entries = entries_of(line.rstrip("\r") for line in lines)
    target.write_text("\n".join([head, "", *entries, ""]), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    rebuild(Path(sys.argv[1]))
