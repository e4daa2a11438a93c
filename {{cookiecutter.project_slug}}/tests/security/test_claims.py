"""`SECURITY.md` claims what tests hold, and each thing once."""

import re

import pytest

from tests.support.server import PROJECT

pytestmark = pytest.mark.same_on_every_database

ROW = re.compile(r"^\| (?P<claim>[A-Z`].*) \| (?P<tests>`tests/.*`) \|$", re.MULTILINE)
PAGE = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
ROWS = ROW.findall(PAGE)


def test_each_claim_names_tests_that_are_there() -> None:
    """A folder that was renamed or removed leaves its claim without a proof."""
    assert len(ROWS) > 50
    named = {(claim, folder) for claim, folders in ROWS for folder in re.findall(r"`([^`]*)`", folders)}
    assert [claim for claim, folder in named if not list((PROJECT / folder).rglob("test_*.py"))] == []


def test_nothing_is_claimed_twice() -> None:
    """Two rows about one thing may say different things of it."""
    begins = [re.split("[,;:(]", claim)[0] for claim, _ in ROWS]
    assert sorted({begin for begin in begins if begins.count(begin) > 1}) == []


@pytest.mark.asvs("15.1.1")
def test_a_time_is_set_for_updates() -> None:
    """Within how many days a dependency is replaced: by how bad its vulnerability is, and without one."""
    day = "[a-z]+(?: days)?"
    assert re.search(rf"critical ones within {day}, others within {day}; take other updates within {day}", PAGE)
