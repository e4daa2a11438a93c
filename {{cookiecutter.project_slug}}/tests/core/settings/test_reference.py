"""`docs/settings.md` says what the settings class says."""

from pathlib import Path

import pytest
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.assembly import FEATURES, SETTINGS

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "settings.md"
HEAD = """# Settings

Each is read from the environment, then from `.env`, then from a file of its name below `/run/secrets`; the first that
has a value wins, and an empty value means unset. Lists are written with commas. An unknown name in `.env` stops the
boot. `manage check --deploy` judges the whole.

| name | default | meaning | example | feature |
|---|---|---|---|---|
"""


@pytest.mark.asvs("2.1.3", "7.1.1")
def test_the_reference_is_up_to_date(request: pytest.FixtureRequest) -> None:
    """Every setting is in it with a meaning; `pytest --update` writes it anew."""
    assert [name for name, field in SETTINGS.model_fields.items() if not field.description] == []
    expected = HEAD + "".join(line(name, field) for name, field in SETTINGS.model_fields.items())
    if request.config.getoption("--update"):
        REFERENCE.write_text(expected, encoding="utf-8", newline="\n")
    hint = "If that is meant: uv run pytest --update tests/core/settings/test_reference.py"
    assert REFERENCE.read_text(encoding="utf-8") == expected, hint


def line(name: str, field: FieldInfo) -> str:
    """The line of a setting in the table."""
    example = f"`{field.examples[0]}`" if field.examples else ""
    meaning = " ".join((field.description or "").split())
    (feature,) = (each.name for each in FEATURES for kind in each.settings if name in kind.__annotations__)
    return f"| `{name.upper()}` | {default(field)} | {meaning} | {example} | {feature} |\n"


def default(field: FieldInfo) -> str:
    """What stands in the table for the default."""
    if field.default_factory is not None:
        return "depends"
    if field.default is PydanticUndefined:
        return "**required**"
    if field.default in {None, ()}:
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
