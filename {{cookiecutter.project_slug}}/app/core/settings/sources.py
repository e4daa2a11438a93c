"""Where settings come from beside the environment: the file `.env` and files under `/run/secrets`.

Lines of `.env` that set no setting reach the settings class as extra keys, and are refused there, without a value.
"""

import re
from collections.abc import Collection, Iterator
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from app.core.settings.report import Problem, SettingsError

MAX_SECRET_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,39}|[a-z_][a-z0-9_]{0,39}")


def read_dotenv(path: Path, fields: Collection[str]) -> dict[str, str | None]:
    """Read `.env` (UTF-8, with or without a byte order mark); an empty value counts as unset.

    Returns every value by the name of its field, and what is no setting by a name of its own. Raises `SettingsError`.
    """
    if not path.exists():
        return {}
    text = _read(path)
    values = dotenv_values(stream=StringIO(text), interpolate=True)
    known = {name.lower(): value for name, value in values.items() if value}
    return {name: known[name] for name in fields if name in known} | dict.fromkeys(_strangers(text, fields))


def read_secret_files(folder: Path, fields: Collection[str]) -> dict[str, str]:
    """Read one file per setting, named like it, as platforms for containers mount secrets (ASVS 13.3.1).

    An empty file counts as unset. Other files may belong to the platform. Raises `SettingsError`.
    """
    if not folder.is_dir():
        return {}
    files = {path.name.lower(): path for path in folder.iterdir() if path.is_file()}
    contents = {name: _read(files[name]).rstrip("\r\n") for name in fields if name in files}
    return {name: content for name, content in contents.items() if content}


def _read(path: Path) -> str:
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
    raise SettingsError((Problem(str(path), problem, ""),))


def _strangers(text: str, fields: Collection[str]) -> Iterator[str]:
    """Yield what stands in `.env` and is no setting: its name, or the number of the line if that may be a secret."""
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key is not None and (binding.value is None or not _NAME.fullmatch(binding.key))):
            yield f".env line {binding.original.line}"
        elif binding.key is not None and binding.key.lower() not in fields:
            yield binding.key
