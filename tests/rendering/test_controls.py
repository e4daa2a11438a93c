"""Every project names the tests that prove the requirements of the OWASP ASVS, and forgets none."""

import re

import pytest

from tests.baked import COMBINATIONS, EVERYTHING, BakedProject, combination_name
from tests.conftest import Bake

# All of OWASP ASVS 5.0 at levels 1 and 2: section, and numbers in it.
REQUIREMENTS = """
    1.1.1-2 1.2.1-9 1.3.1-11 1.4.1-3 1.5.1-2 2.1.1-3 2.2.1-3 2.3.1-4 2.4.1 3.2.1-2 3.3.1-4 3.4.1-6 3.5.1-5 3.7.1-2
    4.1.1-3 4.2.1 4.3.1-2 4.4.1-4 5.1.1 5.2.1-3 5.3.1-2 5.4.1-3 6.1.1-3 6.2.1-12 6.3.1-4 6.4.1-4 6.5.1-5 6.6.1-3
    6.8.1-4 7.1.1-3 7.2.1-4 7.3.1-2 7.4.1-5 7.5.1-2 7.6.1-2 8.1.1-2 8.2.1-3 8.3.1 8.4.1 9.1.1-3 9.2.1-4 10.1.1-2
    10.2.1-2 10.3.1-4 10.4.1-11 10.5.1-5 10.6.1-2 10.7.1-3 11.1.1-2 11.2.1-3 11.3.1-3 11.4.1-4 11.5.1 11.6.1
    12.1.1-3 12.2.1-2 12.3.1-4 13.1.1 13.2.1-5 13.3.1-2 13.4.1-5 14.1.1-2 14.2.1-4 14.3.1-3 15.1.1-3 15.2.1-3
    15.3.1-7 16.1.1 16.2.1-5 16.3.1-4 16.4.1-3 16.5.1-3 17.1.1 17.2.1-4 17.3.1-2
"""
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
LISTS = re.compile(r"^\| ((?:\d+\.\d+\.\d+(?:, )?)+) \|", re.MULTILINE)
MARK = re.compile(r"mark\.asvs\(([^)]*)\)")
PATH = re.compile(r"`([^`]+)`")


def requirements() -> set[str]:
    """Their ids."""
    found = set()
    for section, numbers in (each.rsplit(".", 1) for each in REQUIREMENTS.split()):
        first, _, last = numbers.partition("-")
        found |= {f"{section}.{number}" for number in range(int(first), int(last or first) + 1)}
    return found


def test_no_requirement_is_forgotten(bake: Bake) -> None:
    """Of levels 1 and 2, each has its tests, or its reason to have none, in the project with everything."""
    page = bake(**EVERYTHING).text("docs/controls.md")
    named = [each for cell in LISTS.findall(page) for each in cell.split(", ")]
    assert len(requirements()) == 253
    assert requirements() - set(named) == set()
    assert len(named) == len(set(named))


@pytest.mark.parametrize("answers", COMBINATIONS, ids=combination_name)
def test_each_row_names_what_is_there(bake: Bake, answers: dict[str, str]) -> None:
    """The tests with the mark of the requirement, all of them, and the place in the code; nothing of other options."""
    project = bake(**answers)
    rows = ROW.findall(project.text("docs/controls.md"))
    assert {requirement: PATH.findall(tests) for requirement, _, tests in rows} == proofs(project)
    places = {place for _, where, _ in rows for place in PATH.findall(where)}
    assert [place for place in sorted(places) if not (project.path / place).exists()] == []


def proofs(project: BakedProject) -> dict[str, list[str]]:
    """The files with tests of each requirement."""
    found: dict[str, list[str]] = {}
    for name in project.names():
        if name.startswith("tests/") and name.endswith(".py"):
            for requirement in set(re.findall(r"\d+\.\d+\.\d+", "".join(MARK.findall(project.text(name))))):
                found.setdefault(requirement, []).append(name)
    return found
