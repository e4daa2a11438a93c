"""`tests/support/database/databases.py`: `make test-postgres` leaves out no test that uses the database of the run."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ASKED_BY_NAME = re.compile(r"getfixturevalue\((.*?)\)")
# The same in every run: none of these stands on `databases`.
HARMLESS = {'"postgresql"', '"redis_url"'}
# How a test could learn by itself what the run is on.
THE_RUN = re.compile(r"""get(?:option|ini)\("database"\)|chosen_database\b""")
MAY_KNOW_THE_RUN = {"conftest.py", "support/database/databases.py"}


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
    """No test asks for a fixture by a name that could stand on the database, or what database the run is on."""
    others = {path.relative_to(TESTS).as_posix(): path for path in TESTS.rglob("*.py") if path != Path(__file__)}
    texts = {name: path.read_text(encoding="utf-8") for name, path in others.items()}
    hidden = {name: asked for name, text in texts.items() if (asked := {*ASKED_BY_NAME.findall(text)} - HARMLESS)}
    assert hidden == {}
    assert {name for name, text in texts.items() if THE_RUN.search(text)} == MAY_KNOW_THE_RUN
