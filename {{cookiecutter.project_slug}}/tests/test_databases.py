"""`tests/support/databases.py`: `make test-postgres` leaves out no test that uses the database of the run."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# How a test could learn what the run is on, or get a fixture, without its signature saying so.
UNSEEN = re.compile(r"""getfixturevalue\(.*?\)|get(?:option|ini)\("database"\)|(?<!def )chosen_database\(.*?\)""")
KNOWN = {
    "conftest.py": {"chosen_database(request.config)", 'getfixturevalue("postgresql")'},
    "core/limits/test_limiter.py": {'getfixturevalue("redis_url")'},
    "support/databases.py": {"chosen_database(self._config)", 'getoption("database")', 'getini("database")'},
}


def test_a_test_without_the_marker_gets_no_database(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A test that hides that it uses one is refused in every run, also where it is not left out."""
    assert not any(request.node.iter_markers("database"))
    databases = request.getfixturevalue("databases")
    for give in (databases.empty, databases.migrated):
        with pytest.raises(pytest.fail.Exception, match="has no marker `database`"):
            give(tmp_path)


def test_a_test_is_marked_by_the_fixtures_below_its_own(request: pytest.FixtureRequest, database_url: str) -> None:
    """Though it names none of those that know which database it is."""
    assert any(request.node.iter_markers("database"))


def test_the_signatures_of_tests_say_what_they_use() -> None:
    """No test asks for a fixture by its name, or for the database of the run, except those that are known here."""
    found: dict[str, set[str]] = {}
    for path in TESTS.rglob("*.py"):
        if path != Path(__file__) and (lines := UNSEEN.findall(path.read_text(encoding="utf-8"))):
            found[path.relative_to(TESTS).as_posix()] = set(lines)
    assert found == KNOWN
