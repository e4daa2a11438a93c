"""`docs/settings.md`, made from the settings class: `uv run python -m app.core.settings.reference` writes it anew."""

from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.core.settings.model import Settings

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "settings.md"

_HEAD = """# Settings

Each is read from the environment, then from `.env`, then from a file of its name below `/run/secrets`; the first that
has a value wins, and an empty value means unset. Lists are written with commas. An unknown name in `.env` stops the
boot. `manage check --deploy` judges the whole.

| name | default | meaning | example |
|---|---|---|---|
"""


def reference() -> str:
    """The text of `docs/settings.md`."""
    return _HEAD + "".join(_line(name.upper(), field) for name, field in Settings.model_fields.items())


def _line(name: str, field: FieldInfo) -> str:
    example = f"`{field.examples[0]}`" if field.examples else ""
    return f"| `{name}` | {_default(field)} | {field.description} | {example} |\n"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "depends"
    if field.default is PydanticUndefined:
        return "**required**"
    if field.default in {None, ()}:
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8", newline="\n")
