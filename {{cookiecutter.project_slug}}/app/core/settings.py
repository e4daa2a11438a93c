"""Settings: from the environment, `.env` and `/run/secrets`, checked before anything starts.

The names of the fields, in upper case, are the contract. Every secret is a `SecretStr`, so that no `repr`, log line or
error shows it. An unset `ENVIRONMENT` means production, and production refuses weak configuration (ASVS 13.4.2).
"""

from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from limits import parse as parse_limit
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as SourceError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.core.settings_rules import database_dsn, host_pattern, origin, redis_dsn, secret_key

SECRETS_DIR = Path("/run/secrets")


class SettingsError(Exception):
    """The configuration cannot be used. The message names each setting and shows no value of it."""


class Environment(StrEnum):
    """Where the service runs."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class LogLevel(StrEnum):
    """The least important level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line is written."""

    CONSOLE = "console"
    JSON = "json"
