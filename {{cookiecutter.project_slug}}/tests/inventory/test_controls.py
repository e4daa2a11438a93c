"""`docs/controls.md` names the tests of each requirement of the OWASP ASVS, as their marks say, and every open call."""

import re

import pytest

from app.access.guard import route_policies
from app.access.policies import Public
from tests.support.documents import names, rows
from tests.support.processes.server import PROJECT
from tests.support.service import Service

pytestmark = pytest.mark.same_on_every_database

PAGE = PROJECT / "docs" / "controls.md"
HINT = "\nIf that is meant: uv run pytest --update tests/inventory/test_controls.py"
_MARK = re.compile(r"mark\.asvs\(([^)]*)\)")
_ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_FEATURE = re.compile(r"tests/features/(\w+)/")


def proofs() -> dict[str, list[str]]:
    """The files with tests of each requirement."""
    found: dict[str, list[str]] = {}
    for path in sorted((PROJECT / "tests").rglob("*.py")):
        marks = "".join(_MARK.findall(path.read_text(encoding="utf-8")))
        for requirement in sorted(set(re.findall(r"\d+\.\d+\.\d+", marks))):
            found.setdefault(requirement, []).append(path.relative_to(PROJECT).as_posix())
    return found


def test_every_requirement_names_its_tests(request: pytest.FixtureRequest) -> None:
    """All of them, in the order of the files. A feature that no row names has marks of its own."""
    page = PAGE.read_text(encoding="utf-8")
    found = proofs()
    if request.config.getoption("--update"):
        page = _ROW.sub(lambda row: f"| {row[1]} | {row[2]} | {row[3]} | {_cell(found.get(row[1], []))} |", page)
        PAGE.write_text(page, encoding="utf-8")
    listed = {row[0]: names(row[3]) for row in _ROW.findall(page)}
    features = set(_FEATURE.findall(page))
    known = {
        requirement: kept
        for requirement, paths in found.items()
        if (kept := [path for path in paths if {*_FEATURE.findall(path)} <= features])
    }
    assert listed == known, HINT


def test_every_place_is_there() -> None:
    """What a row names as done there is a file or a folder of the project."""
    places = {place for row in _ROW.findall(PAGE.read_text(encoding="utf-8")) for place in names(row[2])}
    assert len(places) > 50
    assert [place for place in sorted(places) if not (PROJECT / place).exists()] == []


def test_no_requirement_is_in_two_rows() -> None:
    """Those that no test proves are in lists of their own."""
    proved = [row[0] for row in _ROW.findall(PAGE.read_text(encoding="utf-8"))]
    lists = rows("ids", "held by", "feature") + rows("ids", "why")
    elsewhere = [each for cell, *_ in lists for each in cell.split(", ")]
    assert len([*proved, *elsewhere]) == len({*proved, *elsewhere})


@pytest.mark.anyio
@pytest.mark.asvs("6.1.3")
async def test_every_open_call_is_listed(service: Service) -> None:
    """Each write that needs no sign-in, with what it takes and opens; none is missing, none is gone."""
    policies = {f"{method} {path}": policy for method, path, policy in route_policies(service.app)}
    listed = rows("call", "what it takes", "what it opens", "how often", "feature")
    calls = {name for call, *_ in listed for name in names(call)}
    assert calls <= policies.keys()
    public = {call for call, policy in policies.items() if isinstance(policy, Public) and not call.startswith("GET ")}
    assert public <= calls, "Give each a row in such a table."


def _cell(paths: list[str]) -> str:
    return " ".join(f"`{path}`" for path in paths)
