"""`SECURITY.md` claims what tests hold: what stands beside them in `claims.txt`, a claim a line, each thing once."""

import re

import pytest

from tests.support.processes.server import PROJECT

pytestmark = pytest.mark.same_on_every_database

PAGE = PROJECT / "SECURITY.md"
HINT = "\nIf that is meant: uv run pytest --update tests/security/test_claims.py"
FILES = sorted((PROJECT / "tests").rglob("claims.txt"))
TABLE = re.compile(r"(?<=\n\| claim \| held by \|\n\|---\|---\|\n)(?:\|.*\n)*")


def claims() -> dict[str, list[str]]:
    """The folders whose tests hold each claim, in the order of the folders."""
    found: dict[str, list[str]] = {}
    for path in FILES:
        for claim in path.read_text(encoding="utf-8").splitlines():
            found.setdefault(claim, []).append(f"`{path.parent.relative_to(PROJECT).as_posix()}/`")
    return found


def test_the_table_has_what_stands_beside_the_tests(request: pytest.FixtureRequest) -> None:
    """A claim without tests, a folder that was renamed: nobody edits the table, `pytest --update` writes it."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = [f"| {claim} | {' '.join(folders)} |\n" for claim, folders in claims().items()]
    assert len(wanted) > 50
    if request.config.getoption("--update"):
        page = TABLE.sub(lambda _: "".join(wanted), page)
        PAGE.write_text(page, encoding="utf-8")
    assert TABLE.findall(page)[0].splitlines(keepends=True) == wanted, HINT


def test_each_claim_stands_beside_tests() -> None:
    """A folder without tests holds nothing."""
    assert [path for path in FILES if not list(path.parent.rglob("test_*.py"))] == []


def test_nothing_is_claimed_twice() -> None:
    """Two rows about one thing may say different things of it."""
    begins = [re.split("[,;:(]", claim)[0] for claim in claims()]
    assert sorted({begin for begin in begins if begins.count(begin) > 1}) == []


@pytest.mark.asvs("15.1.1")
def test_a_time_is_set_for_updates() -> None:
    """Within how many days a dependency is replaced: by how bad its vulnerability is, and without one."""
    day = "[a-z]+(?: days)?"
    words = rf"critical ones within {day}, others within {day}; take other updates within {day}"
    assert re.search(words, PAGE.read_text(encoding="utf-8"))
