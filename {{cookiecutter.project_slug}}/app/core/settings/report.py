"""What is wrong with the settings, in words: a name, a reason, an example that works, and never a value."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

# How much a name has to be like a setting's: REDIS_ULR is, REDIS_HOST is not.
_ALIKE = 0.85


class Problem(NamedTuple):
    """One thing that is wrong: the setting in upper case (or a line of `.env`), what, and what to do about it."""

    setting: str
    message: str
    hint: str


class SettingsError(Exception):
    """The configuration cannot be used. The message names each setting and shows no value of it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        lines = "\n".join(f"  {setting}: {message}. {hint}".rstrip() for setting, message, hint in problems)
        super().__init__(f"The settings cannot be used:\n{lines}")
        self.problems = problems


def problems_of(error: ValidationError, fields: Mapping[str, FieldInfo]) -> tuple[Problem, ...]:
    """Return every problem once, in the order of the fields."""
    details = error.errors(include_url=False, include_context=True, include_input=False)
    # A default that was not made because a setting above it is wrong: the cause is in the list already.
    found = (_problem(detail, fields) for detail in details if detail["type"] != "default_factory_not_called")
    return tuple(dict.fromkeys(found))


def misspelt(variables: Mapping[str, str], fields: Collection[str]) -> tuple[Problem, ...]:
    """Return the variables of the environment whose names look like a setting that is not among them."""
    given = {name.upper() for name, value in variables.items() if value}
    settings = [name.upper() for name in fields]
    strangers = sorted(given.difference(settings))
    return tuple(
        Problem(name, "is not the name of a setting, and is not read", f"Did you mean {near}?")
        for name in strangers
        for near in get_close_matches(name, settings, n=1, cutoff=_ALIKE)
        if near not in given
    )


def quoted(variables: Mapping[str, str], fields: Collection[str]) -> tuple[Problem, ...]:
    """Return the variables of the environment whose values have quotes around them."""
    message, hint = "has quotes around its value", "Remove them: some programs make them a part of it."
    return tuple(
        Problem(name.upper(), message, hint)
        for name, value in sorted(variables.items())
        if name.lower() in fields and len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    )


def _problem(detail: ErrorDetails, fields: Mapping[str, FieldInfo]) -> Problem:
    name = str(detail["loc"][0])
    if name in fields:
        hint = "".join(f"Example: {name.upper()}={example}" for example in (fields[name].examples or ())[:1])
        if name == "secret_key":
            hint = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(64))"'
        return Problem(name.upper(), _message(detail), hint)
    if " " in name:  # the number of a line of `.env`
        return Problem(name, "is not of the form NAME=value", "Quote a value that holds a line break.")
    near = get_close_matches(name.upper(), [field.upper() for field in fields], n=1)
    hint = f"Did you mean {near[0]}?" if near else "Remove it from .env, or correct its name."
    return Problem(name.upper(), "is not the name of a setting", hint)


def _message(detail: ErrorDetails) -> str:
    """Return the reason in a few words. Texts of pydantic hold no value, texts of our rules neither."""
    if detail["type"] == "missing":
        return "is missing"
    position = "".join(f"entry {part + 1} " for part in detail["loc"][1:] if isinstance(part, int))
    if detail["type"] == "value_error":
        return position + str(detail["ctx"]["error"])
    return position + detail["msg"][0].lower() + detail["msg"][1:].rstrip(".")
