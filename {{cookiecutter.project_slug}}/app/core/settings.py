"""Settings: from the environment, `.env` and `/run/secrets`, checked before anything starts.

The names of the fields, in upper case, are the contract. Every secret is a `SecretStr`, so that no `repr`, log line or
error shows it. An unset `ENVIRONMENT` means production, and production refuses weak configuration (ASVS 13.4.2).
"""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from app.core import settings_rules as rules
from app.core.settings_faults import describe

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


def _split_list(value: object) -> object:
    """A list as it is written in a setting: with commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


_Key = Annotated[SecretStr, AfterValidator(rules.secret_key)]
_Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(rules.host_pattern)], ...], NoDecode, BeforeValidator(_split_list)
]
_Origins = Annotated[tuple[Annotated[str, AfterValidator(rules.origin)], ...], NoDecode, BeforeValidator(_split_list)]
_Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split_list)]
_Keys = Annotated[tuple[_Key, ...], NoDecode, BeforeValidator(_split_list)]
_RateLimit = Annotated[str, AfterValidator(rules.rate_limit)]

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_LOCAL_URL = "http://127.0.0.1:8000"


def _default_public_url(given: dict[str, Any]) -> str:
    return "" if given.get("environment") is Environment.PRODUCTION else _LOCAL_URL


def _default_hosts(given: dict[str, Any]) -> tuple[str, ...]:
    host = urlsplit(given.get("public_url", "")).hostname or ""
    name = f"[{host}]" if ":" in host else host
    local = () if given.get("environment") is Environment.PRODUCTION else _LOCAL_HOSTS
    return tuple(dict.fromkeys(filter(None, (name, *local))))


def _default_log_format(given: dict[str, Any]) -> LogFormat:
    return LogFormat.JSON if given.get("environment") is Environment.PRODUCTION else LogFormat.CONSOLE


class Settings(BaseSettings):
    """Everything that can be set. The description of a field is its line in `docs/settings.md`."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Environment = Field(
        Environment.PRODUCTION, description="Where the service runs: `development`, `test` or `production`."
    )
    app_name: str = Field("My Secure API", min_length=1, max_length=100, description="What the service is called.")
    admin_email: str = Field(
        "admin@example.com", min_length=3, max_length=254, description="The address of whoever runs the service."
    )
    items_per_user: int = Field(50, ge=1, le=10_000, description="How many items each user may keep.")
    secret_key: _Key = Field(description="The one secret to keep: every other key is derived from it.")
    secret_key_fallbacks: _Keys = Field(
        (), description="Earlier values of `SECRET_KEY`: what they made can still be read, nobody is signed out."
    )
    database_url: Annotated[SecretStr, AfterValidator(rules.database_url)] = Field(
        SecretStr("sqlite:///var/app.db"),
        validate_default=True,
        description="`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`.",
    )
    redis_url: Annotated[SecretStr, AfterValidator(rules.redis_url)] | None = Field(
        None, description="Redis or Valkey: the counters of the rate limits, shared by all replicas."
    )
    public_url: Annotated[str, AfterValidator(rules.origin)] = Field(
        default_factory=_default_public_url,
        description="How clients reach the service; also issuer and audience of its tokens. Required in production.",
    )
    allowed_hosts: _Hosts = Field(
        default_factory=_default_hosts,
        description="The hosts that requests may be for. By default that of `PUBLIC_URL`.",
    )
    cors_origins: _Origins = Field((), description="Other origins whose pages may call the service.")
    trusted_proxies: _Networks = Field(
        (), description="Addresses and networks of the proxies whose forwarding headers are believed."
    )
    oauth_password_grant: bool = Field(
        default=False, description="Whether `/oauth/token` takes passwords. RFC 9700 bans it."
    )
    rate_limit_signin: _RateLimit = Field("10/15minutes", description="Failed sign-ins per account and per address.")
    rate_limit_default: _RateLimit = Field("300/minute", description="Requests per address.")
    access_token_minutes: int = Field(10, ge=1, le=10, description="How long an access token holds.")
    session_idle_days: int = Field(14, ge=1, le=90, description="How long a session holds without a refresh.")
    session_max_days: int = Field(90, ge=1, le=365, description="How long a session holds at the most.")
    log_level: LogLevel = Field(LogLevel.INFO, description="The least important level that is logged.")
    log_format: LogFormat = Field(
        default_factory=_default_log_format, description="`json` (in production) or `console` (elsewhere)."
    )

    @property
    def production(self) -> bool:
        """Whether the service runs in production."""
        return self.environment is Environment.PRODUCTION

    @model_validator(mode="after")
    def _refuse_weak_configuration(self) -> Self:
        weaknesses = list(rules.contradictions(self))
        if self.production:
            weaknesses += rules.weaknesses_in_production(self)
        if weaknesses:
            raise ValueError("\n".join(weaknesses))
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before `.env` before `/run/secrets`, where there is such a folder."""
        sources = (init_settings, env_settings, dotenv_settings)
        if SECRETS_DIR.is_dir():
            return (*sources, SecretsSettingsSource(settings_cls, secrets_dir=SECRETS_DIR))
        return sources


def load_settings() -> Settings:
    """Read and check the settings; raises `SettingsError` with every fault at once."""
    try:
        return Settings()  # type: ignore[call-arg]  # the sources give the rest
    except ValidationError as error:
        faults = describe(error, list(Settings.model_fields))
    except UnicodeDecodeError:
        faults = ["`.env` is not UTF-8 text. Save it as UTF-8."]
    except OSError as error:
        faults = [f"The settings cannot be read: {error.strerror}."]
    # Outside of the handler: the error that is handled there holds the values.
    raise SettingsError("\n".join(["The settings cannot be used:", *(f"  - {fault}" for fault in faults)]))
