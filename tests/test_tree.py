"""The exact list of files."""

import pytest

from scripts.trees import OPTION_SETS, TREES, list_name, tree
from tests.baked import COMBINATIONS, combination_name
from tests.conftest import Bake


@pytest.mark.parametrize("answers", COMBINATIONS, ids=combination_name)
def test_exact_files(bake: Bake, answers: dict[str, str]) -> None:
    """A project has exactly the files on the list of its option set; `make trees` writes the lists anew."""
    expected = (TREES / f"{list_name(answers)}.txt").read_text(encoding="utf-8").splitlines()
    assert tree(bake(**answers).path) == expected


def test_every_list_has_its_options() -> None:
    """No list is left of an option set that is gone."""
    assert {path.stem for path in TREES.iterdir()} == set(OPTION_SETS)


def test_names_are_portable(bake: Bake) -> None:
    """No file has a name that Windows refuses or that differs from another by case alone."""
    names = tree(bake().path)
    assert len({name.lower() for name in names}) == len(names)
    assert not [name for name in names if set(name) & set('<>:"|?*\\') or len(name) > 100]
