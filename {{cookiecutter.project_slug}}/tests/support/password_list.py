"""Make the list of common passwords anew from a file of passwords, one on a line, the most frequent first.

`uv run python -m tests.support.password_list FILE`. The head of the list, up to its first empty line, stays.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from app.features.accounts.passwords.common_passwords import LIST
from app.features.accounts.passwords.hasher import LONGEST_PASSWORD, SHORTEST_PASSWORD
from app.features.accounts.passwords.text import without_padding

COMMON_WORDS = 1000
SHORTEST_WORD = 4
FAMOUS = (
    "correct horse battery staple",
    "lorem ipsum dolor sit amet",
    "may the force be with you",
    "the quick brown fox jumps over the lazy dog",
    "to be or not to be that is the question",
)
"""What comes to mind if a passphrase is asked for. Breaches of the past hold few of them."""


def entries_of(ranked: Iterable[str]) -> list[str]:
    """Return the famous passphrases, all passwords that could be set, and the most common shorter words."""
    passwords = dict.fromkeys(ranked)
    long = [password for password in passwords if SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD]
    short = [password for password in passwords if len(password) < SHORTEST_PASSWORD and _is_word(password)]
    return sorted({*FAMOUS, *long, *short[:COMMON_WORDS]})


def _is_word(password: str) -> bool:
    return len(without_padding(password)) >= SHORTEST_WORD


def rebuild(source: Path, target: Path = LIST) -> None:
    """Write the list anew; its head stays."""
    head = target.read_text(encoding="utf-8").partition("\n\n")[0]
    lines = source.read_text(encoding="utf-8").split("\n")
    entries = entries_of(line.rstrip("\r") for line in lines)
    target.write_text("\n".join([head, "", *entries, ""]), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    rebuild(Path(sys.argv[1]))
