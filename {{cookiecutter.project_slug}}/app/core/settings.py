"""Settings: from the environment, `.env` and `/run/secrets`, checked before anything starts.

The names of the fields, in upper case, are the contract. Every secret is a `SecretStr`, so that no `repr`, log line or
error shows it. An unset `ENVIRONMENT` means production, and production refuses weak configuration (ASVS 13.4.2).
"""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from pickle import PicklingError
from typing import Annotated, Any, NoReturn, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.core import settings_rules as rules
from app.core.settings_production import (
    default_hosts,
    default_log_format,
    default_public_url,
    guarded_database,
    guarded_hosts,
    guarded_origins,
    guarded_proxies,
    guarded_public_url,
    guarded_redis,
    other_keys,
    within_longest,
)
from app.core.settings_report import Problem, problems_of, report
from app.core.settings_sources import DotenvFile, SecretFiles, SourceError

ENV_FILE = Path(".env")
SECRETS_DIR = Path("/run/secrets")


class SettingsError(Exception):
    """The configuration cannot be used. The message names each setting and shows no value of it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(report(problems))
        self.problems = problems
