"""What is wrong with the settings, in words: a name, a reason, an example that works, and never a value."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

NEW_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(64))"'

# How much a name has to be like a setting's: REDIS_ULR is, REDIS_HOST is not.
_ALIKE = 0.85

# A default that was not made because a setting above it is wrong: the cause is in the list already.
_CONSEQUENCES = frozenset({"default_factory_not_called"})


class Problem(NamedTuple):
    """One thing that is wrong: the setting in upper case (or a line of `.env`), what, and what to do about it."""

    setting: str
    message: str
    hint: str


def problems_of(error: ValidationError, fields: Mapping[str, FieldInfo]) -> tuple[Problem, ...]:
    """Every problem once, in the order of the fields."""
    details = error.errors(include_url=False, include_context=True, include_input=False)
    found = (_problem(detail, fields) for detail in details if detail["type"] not in _CONSEQUENCES)
    return tuple(dict.fromkeys(found))


def misspelt(variables: Mapping[str, str], fields: Mapping[str, FieldInfo]) -> tuple[Problem, ...]:
    """Variables of the environment whose names look like a setting that is not among them."""
    given = {name.upper() for name, value in variables.items() if value}
    settings = [name.upper() for name in fields]
    found = []
    for name in sorted(given.difference(settings)):
        near = get_close_matches(name, settings, n=1, cutoff=_ALIKE)
        if near and near[0] not in given:
            found.append(Problem(name, "is not the name of a setting, and is not read", f"Did you mean {near[0]}?"))
    return tuple(found)


def quoted(variables: Mapping[str, str], fields: Mapping[str, FieldInfo]) -> tuple[Problem, ...]:
    """Variables of the environment whose values have quotes around them."""
    message, hint = "has quotes around its value", "Remove them: `docker run --env-file` makes them a part of it."
    return tuple(
        Problem(name.upper(), message, hint)
        for name, value in sorted(variables.items())
        if name.lower() in fields and len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    )


def report(problems: Iterable[Problem]) -> str:
    """The problems as a text for a terminal."""
    lines = "\n".join(f"  {setting}: {message}. {hint}".rstrip() for setting, message, hint in problems)
    return f"The settings cannot be used:\n{lines}"


def hint_for(name: str, field: FieldInfo) -> str:
    """How to write the setting: an example, or for a secret how to make one."""
    if name == "secret_key":
        return f"Make one with: {NEW_KEY}"
    return "".join(f"Example: {name.upper()}={example}" for example in (field.examples or ())[:1])


def _problem(detail: ErrorDetails, fields: Mapping[str, FieldInfo]) -> Problem:
    name = str(detail["loc"][0])
    if name not in fields:
        return _stranger(name, fields)
    return Problem(name.upper(), _message(detail), hint_for(name, fields[name]))


def _stranger(name: str, fields: Mapping[str, FieldInfo]) -> Problem:
    if " " in name:  # the number of a line, by `settings_sources`
        return Problem(name, "is not of the form NAME=value", "Quote a value that holds a line break.")
    near = get_close_matches(name.upper(), [field.upper() for field in fields], n=1)
    hint = f"Did you mean {near[0]}?" if near else "Remove it from .env, or correct its name."
    return Problem(name.upper(), "is not the name of a setting", hint)


def _message(detail: ErrorDetails) -> str:
    """The reason in a few words. Texts of pydantic hold no value, texts of our rules neither."""
    position = "".join(f"entry {index + 1} " for index in _indices(detail))
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "value_error":
        return position + str(detail["ctx"]["error"])
    return position + detail["msg"][0].lower() + detail["msg"][1:].rstrip(".")


def _indices(detail: ErrorDetails) -> Iterator[int]:
    return (part for part in detail["loc"][1:] if isinstance(part, int))
