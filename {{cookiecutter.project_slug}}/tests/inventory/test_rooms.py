"""Folders that can be found by name: each has at most 12 modules, and each package of the service says what it is."""

import ast
from collections import Counter

import pytest

from tests.support.documents import sources
from tests.support.processes.server import PROJECT

pytestmark = pytest.mark.same_on_every_database

AT_MOST = 12
FOLDERS = ("app", "bench", "tests")
NOT_COUNTED = {"__init__.py", "conftest.py"}


def test_a_folder_has_at_most_12_modules() -> None:
    """What grows beyond that is grouped in folders of its own."""
    modules = [path.relative_to(PROJECT) for folder in FOLDERS for path in (PROJECT / folder).rglob("*.py")]
    assert {path.parts[0] for path in modules} == {*FOLDERS}
    sizes = Counter(path.parent.as_posix() for path in modules if path.name not in NOT_COUNTED)
    assert {folder: size for folder, size in sizes.items() if size > AT_MOST} == {}


def test_a_package_says_what_it_is() -> None:
    """In a line at least, which its `__init__.py` begins with."""
    packages = {path: module for path, module in sources().items() if path.endswith("/__init__.py")}
    assert {path.rpartition("/")[0] for path in sources()} == {path.rpartition("/")[0] for path in packages}
    assert [path for path, module in packages.items() if not ast.get_docstring(module)] == []
