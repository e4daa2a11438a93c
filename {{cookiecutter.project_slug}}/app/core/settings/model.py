"""Settings: from the environment, `.env` and `/run/secrets`, checked before anything starts.

The names of the fields, in upper case, are the contract. Every secret is a `SecretStr`, so that no `repr`, log line or
error shows it. An unset `ENVIRONMENT` means production, and production refuses weak configuration (ASVS 13.4.2).
"""

import os
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from pickle import PicklingError
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.settings import production, rules
from app.core.settings.database_url import database_dsn
from app.core.settings.report import Problem, misspelt, problems_of, quoted, report
from app.core.settings.secrets import secret_key
from app.core.settings.sources import DotenvFile, SecretFiles, SourceError
from app.core.settings.types import Environment, LogFormat, LogLevel, Registration

__all__ = [
    "ENV_FILE",
    "SECRETS_DIR",
    "Environment",
    "LogFormat",
    "LogLevel",
    "Registration",
    "Settings",
    "SettingsError",
    "load_settings",
    "source_of",
    "suspicious_variables",
]

ENV_FILE = Path(".env")
SECRETS_DIR = Path("/run/secrets")


class SettingsError(Exception):
    """The configuration cannot be used. The message names each setting and shows no value of it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(report(problems))
        self.problems = problems


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    """The entries of a list written with commas."""
    return tuple(entry.strip() for entry in value.split(",") if entry.strip()) if isinstance(value, str) else value


def _secret(rule: Callable[[str], str]) -> AfterValidator:
    """A rule for the text inside a `SecretStr`."""
    return AfterValidator(lambda secret: SecretStr(rule(secret.get_secret_value())))


_Name = BeforeValidator(_lower)
_List = BeforeValidator(_listed)
_Key = Annotated[SecretStr, _secret(secret_key)]
_Host = Annotated[str, AfterValidator(rules.host_pattern)]
_Origin = Annotated[str, AfterValidator(rules.origin)]
_Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(rules.network)]
_RateLimit = Annotated[str, AfterValidator(rules.rate_limit)]


class Settings(BaseSettings):
    """Every setting. A rule may look at the settings above its own: the order of the fields matters."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
        enable_decoding=False,
    )

    environment: Annotated[Environment, _Name] = Field(
        Environment.PRODUCTION,
        description="Where the service runs. Unset means production, the strictest.",
        examples=["development"],
    )
    app_name: Annotated[str, AfterValidator(rules.plain_text), Field(max_length=300)] = Field(
        "Secure API",
        description="The name that people see.",
        examples=['"My Secure API"'],
    )
    admin_email: Annotated[str, AfterValidator(rules.email)] = Field(
        description="Whom users ask for help; signed-in users see it.",
        examples=["admin@example.com"],
    )
    items_per_user: int = Field(
        50,
        ge=1,
        le=10_000,
        description="How many items one user may keep.",
        examples=["50"],
    )
    secret_key: _Key = Field(
        description="The secret that every key of the service is derived from: at least 32 random bytes.",
    )
    secret_key_fallbacks: Annotated[tuple[_Key, ...], _List, AfterValidator(production.other_keys)] = Field(
        (),
        description="Earlier values of `SECRET_KEY`: what they made can still be read. `manage rotate-secret-key`"
        " adds and removes them.",
    )
    database_url: Annotated[SecretStr, _secret(database_dsn), AfterValidator(production.guarded_database)] = Field(
        description="SQLite (a relative path is relative to the working directory) or PostgreSQL;"
        " docs/operations.md has the options.",
        examples=["sqlite:///./app.db"],
    )
    redis_url: Annotated[
        Annotated[SecretStr, _secret(rules.redis_dsn)] | None, AfterValidator(production.guarded_redis)
    ] = Field(
        None,
        description="Redis or Valkey for what several replicas share; unset, each process counts for itself."
        " Services can share one: every key begins with `PUBLIC_URL`.",
        examples=["rediss://:password@redis.example.com:6379/0"],
    )
    smtp_url: Annotated[
        Annotated[SecretStr, _secret(rules.smtp_dsn)] | None, AfterValidator(production.guarded_smtp)
    ] = Field(
        None,
        description="The mail server: `smtp://` (STARTTLS is demanded) or `smtps://`, with a certificate that is"
        " verified. `?tls=off` only on this machine. Required in production; elsewhere, unset means files in"
        " `var/mail`.",
        examples=["smtp://user:password@smtp.example.com:587"],
    )
    mail_from: Annotated[str, AfterValidator(rules.email)] = Field(
        default_factory=production.default_mail_from,
        description="The address that mail comes from; unset, `ADMIN_EMAIL`.",
        examples=["no-reply@example.com"],
    )
    public_url: Annotated[str, AfterValidator(rules.public_url), AfterValidator(production.guarded_public_url)] = Field(
        default_factory=production.default_public_url,
        description="Where clients reach the service: scheme, host and port. Required in production, there with https.",
        examples=["https://api.example.com"],
    )
    allowed_hosts: Annotated[tuple[_Host, ...], _List, AfterValidator(production.guarded_hosts)] = Field(
        default_factory=production.default_hosts,
        min_length=1,
        description="The `Host` names that are answered, without a port; `*.example.com` means every name below it.",
        examples=["api.example.com,*.internal.example.com"],
    )
    cors_origins: Annotated[tuple[_Origin, ...], _List, AfterValidator(production.guarded_origins)] = Field(
        (),
        description="Other origins whose pages may call with a token in a header, never with our cookie. Never `*`.",
        examples=["https://app.example.com"],
    )
    hsts_include_subdomains: bool = Field(
        True,  # noqa: FBT003  # the default of the field
        description="Whether browsers that have seen this service use HTTPS for every name below its host too, for two"
        " years (ASVS 3.4.1). `false` if a name below is still plain HTTP.",
        examples=["false"],
    )
    trusted_proxies: Annotated[tuple[_Network, ...], _List, AfterValidator(production.guarded_proxies)] = Field(
        (),
        description="Addresses and networks of reverse proxies: only their `X-Forwarded-For` and `X-Forwarded-Proto`"
        " are believed. An address may have a port or brackets.",
        examples=["10.0.0.5,192.168.0.0/24"],
    )
    registration: Annotated[Registration, _Name] = Field(
        default_factory=production.default_registration,
        description="`open`: everybody can register. `closed`: an administrator invites. Unset: closed in production,"
        " open elsewhere.",
        examples=["closed"],
    )
    oauth_password_grant: bool = Field(
        False,  # noqa: FBT003  # the default of the field
        description="Whether `/oauth/token` takes the grant `password`, which OAuth 2.1 dropped (ASVS 10.4.4).",
        examples=["false"],
    )
    rate_limit_signin: Annotated[_RateLimit, AfterValidator(production.guarded_signin_limit)] = Field(
        "10/15minutes",
        description="How many failed sign-ins one network, mailbox or OAuth client may have, and how many mails one"
        " client may ask for, in the notation of the limits library.",
        examples=["10/15minutes"],
    )
    rate_limit_default: _RateLimit = Field(
        "300/minute",
        description="How many requests one client may make.",
        examples=["300/minute"],
    )
    log_level: Annotated[LogLevel, _Name] = Field(
        LogLevel.INFO,
        description="The least important level that is written.",
        examples=["info"],
    )
    log_format: Annotated[LogFormat, _Name] = Field(
        default_factory=production.default_log_format,
        description="JSON for machines or console for people.",
        examples=["json"],
    )
    access_token_minutes: int = Field(
        10,
        ge=1,
        le=10,
        description="How long an access token is valid.",
        examples=["10"],
    )
    session_idle_days: int = Field(
        14,
        ge=1,
        le=90,
        description="After how many days without use a session ends (ASVS 7.3.1).",
        examples=["14"],
    )
    session_max_days: Annotated[int, AfterValidator(production.within_longest)] = Field(
        90,
        ge=1,
        le=365,
        description="After how many days a session ends in any case (ASVS 7.3.2).",
        examples=["90"],
    )
    sessions_per_user: int = Field(
        100,
        ge=1,
        le=10_000,
        description="How many sessions a user has at once; one more ends the one that idles for longest (ASVS 7.1.2).",
        examples=["100"],
    )
    retention_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="For how many days `manage purge` keeps what is over: sessions, tokens, mail, unconfirmed"
        " accounts.",
        examples=["30"],
    )
    retention_address_days: int = Field(
        365,
        ge=1,
        le=3650,
        description="For how many days after its last use a network stays known as a home of the account: attacks from"
        " elsewhere do not lock its owner out there.",
        examples=["365"],
    )

    @property
    def production(self) -> bool:
        """Whether the service is open to the world."""
        return self.environment is Environment.PRODUCTION

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled: a pickle would hold every secret in plain text."""
        raise PicklingError("settings are not pickled")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first source that has a value wins; our own two readers of files are stricter than the library's."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, DotenvFile(settings_cls, ENV_FILE), SecretFiles(settings_cls, SECRETS_DIR)


def load_settings(**overrides: Any) -> Settings:
    """Read and check every setting; raises `SettingsError`, which lists every problem and holds no value.

    The error is raised outside of the handlers: an exception in its chain would carry the values that were refused.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = problems_of(error, Settings.model_fields) + suspicious_variables()
    except SourceError as error:
        problems = (Problem(str(error.path), error.problem, ""),)
    raise SettingsError(problems)


def suspicious_variables() -> tuple[Problem, ...]:
    """What in the environment is probably not as it was meant; the settings can be used."""
    return misspelt(os.environ, Settings.model_fields) + quoted(os.environ, Settings.model_fields)


def source_of(name: str) -> str | None:
    """Where the value of a setting comes from: the environment, a path, or nowhere."""
    if any(key.lower() == name and value for key, value in os.environ.items()):
        return "the environment"
    if name in DotenvFile(Settings, ENV_FILE)():
        return str(ENV_FILE)
    return str(SECRETS_DIR) if name in SecretFiles(Settings, SECRETS_DIR)() else None
