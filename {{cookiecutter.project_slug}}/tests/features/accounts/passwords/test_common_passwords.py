"""The list of common and breached passwords: whole, bounded, and made anew by a command."""

import re
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from app.features.accounts.passwords.common_passwords import LIST, listed_passwords, password_list
from app.features.accounts.passwords.hasher import SHORTEST_PASSWORD
from app.features.accounts.passwords.text import folded
from tests.support.password_list import FAMOUS, entries_of, rebuild
from tests.support.processes.server import PROJECT

SPELLINGS = ["perasperaadastra", "per aspera ad astra", "p3r-4sp3r4-4d-4str4", "1 perasperaadastra 99!"]


def test_the_list_is_sorted_without_doubles_and_small() -> None:
    """So that a difference can be reviewed."""
    entries = listed_passwords()
    assert entries == sorted(set(entries))
    assert LIST.stat().st_size < 200_000
    assert LIST.read_text(encoding="utf-8").startswith("# ")
    assert "MIT License" in LIST.read_text(encoding="utf-8").partition("\n\n")[0]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_entry_is_found_however_it_is_spelled(spelling: str) -> None:
    """In other case, with signs for letters, with spaces between, with digits around."""
    assert password_list().has(folded(spelling.upper()))
    assert not password_list().has(folded(f"{spelling} for us"))


def test_reading_it_is_bounded() -> None:
    """In memory and in time."""
    password_list.cache_clear()
    tracemalloc.start()
    begin = time.perf_counter()
    listed = password_list()
    seconds, memory = time.perf_counter() - begin, tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert memory < 2_000_000
    assert seconds < 5
    assert password_list() is listed


def test_takes_all_long_passwords_and_the_most_common_words() -> None:
    """Of a ranked file: no digits alone among the short ones, no more of them than are asked for."""
    words = ["".join(chr(97 + number // 26**place % 26) for place in range(4)) for number in range(1100)]
    long = ["x" * 15, "y" * 128, "#not a comment at all"]
    entries = entries_of(["123456", *words, "z" * 129, *long, words[0]])
    assert entries == sorted([*FAMOUS, *long, *words[:1000]])


def test_is_made_anew_by_a_command(tmp_path: Path) -> None:
    """Over a copy of the code, and of the list: the head stays, the famous entries are added to those of the file."""
    for folder in ("app", "tests"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    copy, other = tmp_path / LIST.relative_to(PROJECT), tmp_path / "other.txt"
    shutil.copyfile(LIST, other)
    source = tmp_path / "ranked.txt"
    source.write_bytes("dragon\r\n#hash and fifteen\r\n123\r\nzwölf Boxkämpfer\r\n".encode())
    command = [sys.executable, "-m", "tests.support.password_list", str(source)]
    subprocess.run(command, cwd=tmp_path, check=True)
    rebuild(source, other)
    head = LIST.read_text(encoding="utf-8").partition("\n\n")[0]
    entries = "\n".join(sorted([*FAMOUS, "#hash and fifteen", "dragon", "zwölf Boxkämpfer"]))
    assert copy.read_bytes() == f"{head}\n\n{entries}\n".encode()
    assert copy.read_bytes() == other.read_bytes()


@pytest.mark.asvs("6.1.2", "2.1.3", "6.2.4")
def test_the_docs_have_the_numbers_of_the_list() -> None:
    """How many passwords could be set, and how many are only words."""
    text = (PROJECT / "docs" / "passwords.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^\|.*\| (\d+) \|$", text, re.MULTILINE)]
    entries = listed_passwords()
    long = [entry for entry in entries if len(entry) >= SHORTEST_PASSWORD]
    assert numbers[-2:] == [len(long), len(entries) - len(long)]
    assert len(long) >= 3000
