"""The rules for settings: for one value, for values together, and for production.

A rule for one value takes a text and returns it in one form, or says what is wrong.
No message repeats the value: it may be a secret.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from limits import parse as parse_limit
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from app.core.settings import Settings

SHORTEST_KEY_BYTES = 32

_FEWEST_CHARACTERS_IN_KEY = 12
_PLACEHOLDERS = ("replace-me", "replaceme", "changeme", "changethis", "change-me", "placeholder", "your-secret", "example")
_WEAK_PASSWORDS = {"", "app", "postgres", "password", "secret", "admin", "root", "changeme", "changethis", "replace-me"}
_ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_HOST_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_HOST_LABEL}(\.{_HOST_LABEL})*\.?|\[[0-9a-f:.]+\]", re.ASCII)


def secret_key(key: SecretStr) -> SecretStr:
    """A key that is long, varied and no placeholder (ASVS 11.2.3, 13.2.3)."""
    text = key.get_secret_value()
    if any(placeholder in text.lower() for placeholder in _PLACEHOLDERS):
        message = "is a placeholder"
        raise ValueError(message)
    if len(text.encode()) < SHORTEST_KEY_BYTES or len(set(text)) < _FEWEST_CHARACTERS_IN_KEY:
        message = f"must be random and at least {SHORTEST_KEY_BYTES} bytes long"
        raise ValueError(message)
    return key


def database_url(url: SecretStr) -> SecretStr:
    """An SQLite or PostgreSQL URL, with the asynchronous driver of either."""
    try:
        parsed = make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        parsed = None
    driver = parsed and _ASYNC_DRIVERS.get(parsed.drivername.partition("+")[0])
    if parsed is None or driver is None or parsed.drivername not in {parsed.get_backend_name(), driver, "postgres"}:
        message = "must start with sqlite:// or postgresql://"
        raise ValueError(message)
    if driver.startswith("sqlite") and (not parsed.database or parsed.database == ":memory:"):
        message = "must name a file: an SQLite database in memory is lost with each connection"
        raise ValueError(message)
    return SecretStr(parsed.set(drivername=driver).render_as_string(hide_password=False))


def redis_url(url: SecretStr) -> SecretStr:
    """A Redis or Valkey URL, as redis-py reads it."""
    scheme = urlsplit(url.get_secret_value()).scheme
    if scheme not in {"redis", "rediss", "unix"}:
        message = "must start with redis://, rediss:// or unix://"
        raise ValueError(message)
    return url


def origin(text: str) -> str:
    """A web origin: scheme, host and maybe a port, in lower case and without a slash at the end (RFC 6454)."""
    parsed = _split(text.strip().removesuffix("/"))
    host = parsed.hostname or ""
    name = f"[{host}]" if ":" in host else host
    bare = not (parsed.path or parsed.query or parsed.fragment or "@" in parsed.netloc or name.startswith("*"))
    if parsed.scheme not in {"http", "https"} or not _HOST.fullmatch(name) or not bare:
        message = "must be like https://api.example.com, without a path"
        raise ValueError(message)
    default_port = {"http": 80, "https": 443}[parsed.scheme]
    port = f":{parsed.port}" if parsed.port not in {None, default_port} else ""
    return f"{parsed.scheme}://{name}{port}"


def host_pattern(text: str) -> str:
    """A host name, an address, `*.` before a name for all below it, or `*`."""
    host = text.strip().lower().removesuffix(".")
    if host != "*" and not _HOST.fullmatch(host):
        message = "must hold host names without scheme or port, like api.example.com"
        raise ValueError(message)
    return host


def rate_limit(text: str) -> str:
    """A limit in the notation of the limits library, like `10/15minutes`."""
    try:
        limit = parse_limit(text)
    except ValueError:
        limit = None
    if limit is None or limit.amount < 1:
        message = "must be like 10/15minutes"
        raise ValueError(message)
    return text


def contradictions(settings: "Settings") -> Iterator[str]:
    """What does not go together, whatever the environment."""
    if settings.secret_key in settings.secret_key_fallbacks:
        yield "SECRET_KEY_FALLBACKS holds SECRET_KEY itself. Keep only earlier keys there."
    if settings.session_idle_days > settings.session_max_days:
        yield "SESSION_IDLE_DAYS is more than SESSION_MAX_DAYS. Make it the same or less."


def weaknesses_in_production(settings: "Settings") -> Iterator[str]:
    """What production refuses (ASVS 12.2.1, 13.2.3, 13.4.2)."""
    if not settings.public_url:
        yield "PUBLIC_URL is missing. Example: PUBLIC_URL=https://api.example.com"
    elif not settings.public_url.startswith("https://"):
        yield "PUBLIC_URL must start with https:// in production. Example: PUBLIC_URL=https://api.example.com"
    if "*" in settings.allowed_hosts:
        yield "ALLOWED_HOSTS must not be * in production. Name the hosts. Example: ALLOWED_HOSTS=api.example.com"
    if any(not origin.startswith("https://") for origin in settings.cors_origins):
        yield "CORS_ORIGINS must start with https:// in production. Example: CORS_ORIGINS=https://app.example.com"
    if any(network.prefixlen == 0 for network in settings.trusted_proxies):
        yield "TRUSTED_PROXIES must not hold every address in production. Example: TRUSTED_PROXIES=10.0.0.0/8"
    if make_url(settings.database_url.get_secret_value()).password in _WEAK_PASSWORDS:
        yield "DATABASE_URL has a password that everybody knows. Set a random one."


def _split(text: str) -> SplitResult:
    message = "must be like https://api.example.com"
    try:
        parsed = urlsplit(text)
        parsed.port  # noqa: B018  # raises for a port that is none
    except ValueError:
        raise ValueError(message) from None
    return parsed
