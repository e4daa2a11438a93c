"""The reference of the settings says what the class says."""

import pytest

from app.core.settings.model import Settings
from app.core.settings.reference import REFERENCE, reference


@pytest.mark.asvs("2.1.3", "7.1.1")
def test_the_reference_is_up_to_date() -> None:
    """`uv run python -m app.core.settings.reference` writes it anew."""
    assert REFERENCE.read_text(encoding="utf-8") == reference()


def test_every_setting_is_in_it_with_a_meaning() -> None:
    """A new setting without a description is seen here."""
    lines = reference().splitlines()
    for name, field in Settings.model_fields.items():
        assert field.description
        assert sum(line.startswith(f"| `{name.upper()}` |") for line in lines) == 1
