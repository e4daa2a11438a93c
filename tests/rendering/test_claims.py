"""Every project claims what its own tests hold, whatever was left out."""

import pytest

from tests.baked import COMBINATIONS, combination_name
from tests.conftest import Bake

HEAD = "| claim | held by |\n|---|---|\n"


@pytest.mark.parametrize("answers", COMBINATIONS, ids=combination_name)
def test_the_table_has_what_stands_beside_the_tests(bake: Bake, answers: dict[str, str]) -> None:
    """A claim stays as long as one of its folders does, names those that are there, and goes with the last one."""
    project = bake(**answers)
    claims: dict[str, list[str]] = {}
    for name in sorted(name for name in project.names() if name.endswith("/claims.txt")):
        for claim in project.text(name).splitlines():
            claims.setdefault(claim, []).append(f"`{name.removesuffix('claims.txt')}`")
    table = project.text("SECURITY.md").partition(HEAD)[2].partition("\n\n")[0]
    assert table.splitlines() == [f"| {claim} | {' '.join(folders)} |" for claim, folders in claims.items()]
