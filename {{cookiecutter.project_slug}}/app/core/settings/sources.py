"""Where settings come from beside the environment: the file `.env` and files under `/run/secrets`.

Both are strict where the libraries are lenient: a line of `.env` that is no `NAME=value`, and a name that no setting
has, reach the settings class as what they are, extra keys, and are refused there. No message shows a value.
"""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

MAX_SECRET_BYTES = 64 * 1024
_LONGEST_NAME = 40


class SourceError(Exception):
    """A file cannot be read. The message names it and shows none of its content."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} {problem}")
        self.path = path
        self.problem = problem


class _FileSource(PydanticBaseSettingsSource):
    """A source that answers with all its values at once."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        super().__init__(settings_cls)
        self._path = path

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """One value; the base class asks for this method, `__call__` is what the settings use."""
        del field
        return self().get(field_name), field_name, False


class DotenvFile(_FileSource):
    """The values of `.env` (UTF-8, with or without a byte order mark); an empty value counts as unset."""

    def __call__(self) -> dict[str, Any]:
        """Every value by the name of its field, and whatever does not belong there under a name of its own."""
        if not self._path.exists():
            return {}
        text = _read(self._path)
        values = dotenv_values(stream=StringIO(text), interpolate=True)
        known = {name.lower(): value for name, value in values.items() if value}
        fields = self.settings_cls.model_fields
        return {name: known[name] for name in fields if name in known} | dict(_strangers(text, set(fields)))


class SecretFiles(_FileSource):
    """One file per setting, named like it, as Docker and Kubernetes mount secrets (ASVS 13.3.1).

    Files with other names are not looked at: they may belong to the platform.
    """

    def __call__(self) -> dict[str, Any]:
        """The content of each file without the line break at its end; an empty file counts as unset."""
        if not self._path.is_dir():
            return {}
        files = {path.name.lower(): path for path in self._path.iterdir() if path.is_file()}
        contents = {name: _read(files[name]).rstrip("\r\n") for name in self.settings_cls.model_fields if name in files}
        return {name: content for name, content in contents.items() if content}


def _read(path: Path) -> str:
    """The text of a small UTF-8 file."""
    problem = ""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        if len(content) <= MAX_SECRET_BYTES:
            return content.decode("utf-8-sig")
        problem = f"is larger than {MAX_SECRET_BYTES} bytes"
    except UnicodeDecodeError:
        problem = "is not UTF-8 text (was it saved as UTF-16?); save it again as UTF-8"
    except OSError as error:
        problem = f"cannot be read ({error.strerror or 'input or output error'})"
    # Raised here, not in the handlers: an exception in the chain would carry the content of the file.
    raise SourceError(path, problem)


def _strangers(text: str, fields: set[str]) -> Iterator[tuple[str, None]]:
    """What stands in `.env` and is no setting: names, or the number of a line that is none.

    A word that does not look like the name of a setting may be a part of a secret that was broken over lines: only
    the number of its line is told.
    """
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key is not None and (binding.value is None or not _is_name(binding.key))):
            yield f".env line {binding.original.line}", None
        elif binding.key is not None and binding.key.lower() not in fields:
            yield binding.key, None


def _is_name(word: str) -> bool:
    return (
        word.isascii() and word.isidentifier() and len(word) <= _LONGEST_NAME and word in {word.upper(), word.lower()}
    )
