"""What is wrong with the settings, in words: the setting, the fault, an example that works; never a value."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pydantic import ValidationError

_EXAMPLES = {
    "environment": "development",
    "secret_key": "(64 random characters; `python -c \"import secrets; print(secrets.token_urlsafe(64))\"` makes some)",
    "database_url": "sqlite:///var/app.db",
    "redis_url": "redis://localhost:6379/0",
    "public_url": "https://api.example.com",
    "allowed_hosts": "api.example.com,www.example.com",
    "cors_origins": "https://app.example.com",
    "trusted_proxies": "10.0.0.0/8,192.0.2.1",
    "rate_limit_signin": "10/15minutes",
    "rate_limit_default": "300/minute",
    "log_level": "info",
    "log_format": "json",
}


def describe(error: ValidationError, fields: Sequence[str]) -> list[str]:
    """One line for each fault."""
    return list(dict.fromkeys(_lines(error, fields)))


def _lines(error: ValidationError, fields: Sequence[str]) -> Iterator[str]:
    for fault in error.errors(include_input=False, include_url=False):
        if not fault["loc"]:
            yield from fault["msg"].removeprefix("Value error, ").splitlines()
            continue
        name = str(fault["loc"][0])
        if fault["type"] == "extra_forbidden":
            yield f"{name.upper()} in `.env` is not a setting{_suggestion(name, fields)}"
            continue
        what = "is missing" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
        what = what.replace("Input should", "should")
        yield f"{name.upper()} {what}.{_example(name)}"


def _example(name: str) -> str:
    return f" Example: {name.upper()}={_EXAMPLES[name]}" if name in _EXAMPLES else ""


def _suggestion(name: str, fields: Sequence[str]) -> str:
    close = get_close_matches(name.lower(), fields, n=1)
    return f"; did you mean {close[0].upper()}?" if close else ". Remove the line."
