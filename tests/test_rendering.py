"""How the template renders: code as it stands, and quickly."""

import ast
from pathlib import Path

import pytest

from scripts.bench import MOST_SECONDS, measure
from tests.baked import TEMPLATE
from tests.cli import Baked


@pytest.mark.parametrize("path", sorted(TEMPLATE.rglob("*.py")), ids=lambda path: path.relative_to(TEMPLATE).as_posix())
def test_the_code_of_the_template_is_plain_python(path: Path) -> None:
    """Code is copied, not rendered: it parses where it stands, and holds no Jinja."""
    source = path.read_text(encoding="utf-8")
    ast.parse(source)
    assert "{%" not in source
    assert "cookiecutter" not in source


def test_code_is_copied_byte_for_byte(default: Baked) -> None:
    """What is tested in the template is what the user gets."""
    for path in TEMPLATE.rglob("*.py"):
        assert (default.project / path.relative_to(TEMPLATE)).read_bytes() == path.read_bytes()


def test_rendering_is_quick(capfd: pytest.CaptureFixture[str]) -> None:
    """A bake, hooks and all, takes at most 0.15 s; the fastest of a few, for a busy machine is not a slow template."""
    assert min(measure(rounds=5)) <= MOST_SECONDS
    capfd.readouterr()
