"""Settings: from the environment, `.env` and `/run/secrets`, checked before anything starts.

Every secret is a `SecretStr`, so that no `repr`, log line or error shows it. An unset `ENVIRONMENT` means production,
and production refuses weak configuration (ASVS 13.4.2). Lines of `.env` that set no setting reach the settings class as
extra keys, and are refused there, without a value.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator
from io import StringIO
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from pickle import PicklingError
from typing import Annotated, Any, Literal, NoReturn, Self

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.names import clean_name
from app.core.settings import production, rules
from app.core.settings.database_url import database_dsn
from app.core.settings.report import Problem, SettingsError, misspelt, problems_of, quoted

ENV_FILE = Path(".env")
SECRETS_DIR = Path("/run/secrets")
MAX_SECRET_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,39}|[a-z_][a-z0-9_]{0,39}")


def _secret(rule: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda secret: SecretStr(rule(secret.get_secret_value())))


_AnyCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
_List = BeforeValidator(
    lambda value: tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
)
_Key = Annotated[SecretStr, _secret(rules.secret_key)]
_Host = Annotated[str, AfterValidator(rules.host_pattern)]
_Origin = Annotated[str, AfterValidator(rules.origin)]
_Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(rules.network)]
_RateLimit = Annotated[str, AfterValidator(rules.rate_limit)]
_Email = Annotated[str, AfterValidator(rules.email)]


class FeatureSettings(BaseSettings):
    """The base of the settings of a feature, and of all: one source, one set of rules, one list of known names."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
        enable_decoding=False,
        use_attribute_docstrings=True,
    )

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled: a pickle would hold every secret in plain text."""
        raise PicklingError("settings are not pickled")

    @classmethod
    def with_named(cls) -> type[Self]:
        """Return the class with those settings too whose names others give: a feature that has such overrides it."""
        return cls

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the library gives its sources by name
        cls, settings_cls: type[BaseSettings], **given: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take each value from the first source that has one; files are read more strictly than by the library."""
        files = (_read_dotenv(ENV_FILE, cls.model_fields), _read_secret_files(SECRETS_DIR, cls.model_fields))
        read = (InitSettingsSource(settings_cls, dict(values)) for values in files)
        return given["init_settings"], given["env_settings"], *read


class Settings(FeatureSettings):
    """Each setting with its meaning in `docs/settings.md` below. A rule may look at the settings above its own.

    Features add theirs (`Feature.settings`): `app/assembly.py` puts all together.
    """

    environment: Annotated[Literal["development", "test", "production"], _AnyCase] = Field(
        "production", examples=["development"]
    )
    """Where the service runs. Unset means production, the strictest."""

    app_name: Annotated[str, AfterValidator(clean_name)] = Field(
        "Secure API", max_length=300, examples=['"My Secure API"']
    )
    """The name that people see."""

    admin_email: _Email = Field(examples=["admin@example.com"])
    """Whom users ask for help; signed-in users see it."""

    items_per_user: int = Field(50, ge=1, le=10_000, examples=["50"])
    """How many items one user may keep in a feature; each feature counts its own."""

    secret_key: _Key
    """The secret that every key of the service is derived from: at least 32 random bytes."""

    secret_key_fallbacks: Annotated[tuple[_Key, ...], _List] = ()
    """Earlier values of `SECRET_KEY`: what they made can still be read. `manage rotate-secret-key` adds and removes
    them."""

    database_url: Annotated[SecretStr, _secret(database_dsn)] = Field(examples=["sqlite:///./app.db"])
    """SQLite (a relative path is relative to the working directory) or PostgreSQL; docs/operations.md has the
    options."""

    redis_url: Annotated[SecretStr, _secret(rules.redis_dsn)] | None = Field(
        None, examples=["rediss://:password@redis.example.com:6379/0"]
    )
    """Redis or Valkey for what several replicas share; unset, each process counts for itself. Services can share one:
    every key begins with `PUBLIC_URL`."""

    smtp_url: Annotated[SecretStr, _secret(rules.smtp_dsn)] | None = Field(
        None, examples=["smtp://user:password@smtp.example.com:587"]
    )
    """The mail server: `smtp://` (STARTTLS is demanded) or `smtps://`, with a certificate that is verified. `?tls=off`
    only on this machine. Required in production; elsewhere, unset means files in `var/mail`."""

    mail_from: _Email = Field(default_factory=lambda above: above["admin_email"], examples=["no-reply@example.com"])
    """The address that mail comes from; unset, `ADMIN_EMAIL`."""

    public_url: Annotated[str, AfterValidator(rules.public_url)] = Field(
        default_factory=production.default("", "http://127.0.0.1:8000"), examples=["https://api.example.com"]
    )
    """Where clients reach the service: scheme, host and port. Required in production, there with https."""

    allowed_hosts: Annotated[tuple[_Host, ...], _List] = Field(
        default_factory=production.default_hosts, min_length=1, examples=["api.example.com,*.internal.example.com"]
    )
    """The `Host` names that are answered, without a port; `*.example.com` means every name below it."""

    cors_origins: Annotated[tuple[_Origin, ...], _List] = Field((), examples=["https://app.example.com"])
    """Other origins whose pages may call with a token in a header, never with our cookie. Never `*`."""

    hsts_include_subdomains: bool = Field(default=True, examples=["false"])
    """Whether browsers that have seen this service use HTTPS for every name below its host too, for two years
    (ASVS 3.4.1). `false` if a name below is still plain HTTP."""

    trusted_proxies: Annotated[tuple[_Network, ...], _List] = Field((), examples=["10.0.0.5,192.168.0.0/24"])
    """Addresses and networks of reverse proxies: only their `X-Forwarded-For` and `X-Forwarded-Proto` are believed. An
    address may have a port or brackets."""

    registration: Annotated[Literal["open", "closed"], _AnyCase] = Field(
        default_factory=production.default("closed", "open"), examples=["closed"]
    )
    """`open`: everybody can register. `closed`: an administrator invites. Unset: closed in production, open
    elsewhere."""

    oauth_password_grant: bool = Field(default=False, examples=["false"])
    """Whether `/oauth/token` takes the grant `password`, which OAuth 2.1 dropped (ASVS 10.4.4)."""

    rate_limit_signin: _RateLimit = Field("10/15minutes", examples=["10/15minutes"])
    """How many failed sign-ins one network, mailbox or OAuth client may have, and how many mails one client may ask
    for, in the notation of the limits library."""

    rate_limit_default: _RateLimit = Field("300/minute", examples=["300/minute"])
    """How many requests one client may make."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], _AnyCase] = Field("info", examples=["info"])
    """The least important level that is written."""

    log_format: Annotated[Literal["console", "json"], _AnyCase] = Field(
        default_factory=production.default("json", "console"), examples=["json"]
    )
    """JSON for machines or console for people."""

    metrics_port: int | None = Field(None, ge=1, le=65535, examples=["9100"])
    """The port of `/metrics` for Prometheus, without authentication: never the public one. Unset, there is none."""

    metrics_host: IPv4Address | IPv6Address = Field(IPv4Address("127.0.0.1"), examples=["0.0.0.0"])
    """The address that it listens on. Another one than loopback, such as that of a pod, is open to all who reach it."""

    access_token_minutes: int = Field(10, ge=1, le=10, examples=["10"])
    """How long an access token is valid."""

    session_idle_days: int = Field(14, ge=1, le=90, examples=["14"])
    """After how many days without use a session ends (ASVS 7.3.1)."""

    session_max_days: int = Field(90, ge=1, le=365, examples=["90"])
    """After how many days a session ends in any case (ASVS 7.3.2)."""

    sessions_per_user: int = Field(100, ge=1, le=10_000, examples=["100"])
    """How many sessions a user has at once, and with each client; one more ends the longest idle one (ASVS 7.1.2)."""

    retention_days: int = Field(30, ge=1, le=3650, examples=["30"])
    """For how many days `manage purge` keeps what is over: sessions, tokens, mail, unconfirmed accounts."""

    retention_address_days: int = Field(365, ge=1, le=3650, examples=["365"])
    """For how many days after its last use a network stays known as a home of the account: attacks from elsewhere do
    not lock its owner out there."""

    _check = field_validator("*")(production.check)

    @property
    def production(self) -> bool:
        """Whether the service is open to the world."""
        return self.environment == "production"


def load_settings(kind: type[Settings] = Settings, **overrides: Any) -> Settings:
    """Read and check every setting; raises `SettingsError`, which lists every problem and holds no value."""
    kind = kind.with_named()
    try:
        return kind(**overrides)
    except ValidationError as error:
        problems = problems_of(error, kind.model_fields) + suspicious_variables(kind)
    # Raised here, not in the handler: an exception in the chain would carry the values.
    raise SettingsError(problems)


def suspicious_variables(kind: type[Settings]) -> tuple[Problem, ...]:
    """Return what in the environment is probably not as it was meant; the settings can be used."""
    return misspelt(os.environ, kind.model_fields) + quoted(os.environ, kind.model_fields)


def source_of(name: str) -> str | None:
    """Return where the value of a setting comes from: the environment, a path, or nowhere."""
    if any(key.lower() == name and value for key, value in os.environ.items()):
        return "the environment"
    if name in _read_dotenv(ENV_FILE, [name]):
        return str(ENV_FILE)
    return str(SECRETS_DIR) if name in _read_secret_files(SECRETS_DIR, [name]) else None


def _read_dotenv(path: Path, fields: Collection[str]) -> dict[str, str | None]:
    """Read `.env` (UTF-8, with or without a byte order mark); an empty value counts as unset.

    Returns every value by the name of its field, and what is no setting by a name of its own. Raises `SettingsError`.
    """
    if not path.exists():
        return {}
    text = _read(path)
    values = dotenv_values(stream=StringIO(text), interpolate=True)
    known = {name.lower(): value for name, value in values.items() if value}
    return {name: known[name] for name in fields if name in known} | dict.fromkeys(_strangers(text, fields))


def _read_secret_files(folder: Path, fields: Collection[str]) -> dict[str, str]:
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
