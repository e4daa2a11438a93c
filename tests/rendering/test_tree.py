"""The exact list of files."""

from collections import Counter

import pytest

from scripts.trees import OPTIONS, expected, tree
from tests.baked import DATABASES, ROOT, combination_name, covering
from tests.conftest import Bake

# Each three answers meet, where no file needs more than two.
TREES = covering({"database": DATABASES, **OPTIONS}, together=3)


@pytest.mark.parametrize("answers", TREES, ids=combination_name)
def test_exact_files(bake: Bake, answers: dict[str, str]) -> None:
    """A project has exactly the files that `tests/tree.txt` has for its answers; `make trees` writes it anew."""
    assert tree(bake(**answers).path) == expected(answers)


def test_names_are_portable(bake: Bake) -> None:
    """No file has a name that Windows refuses or that differs from another by case alone."""
    names = tree(bake().path)
    assert len({name.lower() for name in names}) == len(names)
    assert not [name for name in names if set(name) & set('<>:"|?*\\') or len(name) > 100]


def test_folders_of_the_tools_have_at_most_12_modules() -> None:
    """As those of a project have, which its own tests count."""
    modules = [path for folder in ("hooks", "scripts", "tests") for path in (ROOT / folder).rglob("*.py")]
    sizes = Counter(path.parent for path in modules if path.name not in {"__init__.py", "conftest.py"})
    assert len(sizes) > 5
    assert {folder: size for folder, size in sizes.items() if size > 12} == {}
