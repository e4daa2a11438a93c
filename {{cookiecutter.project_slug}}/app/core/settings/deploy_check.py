"""What `manage check` finds: settings that cannot be used, and those that production should not have.

Each finding has an id that stays, so that a pipeline can name the ones that it accepts.
"""

import stat
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog
from limits import parse as parse_limit
from sqlalchemy.engine import make_url

from app.core.settings.database_url import VERIFIED, hosts_of
from app.core.settings.model import Settings, SettingsError, load_settings, suspicious_variables
from app.core.settings.production import is_local
from app.core.settings.types import Environment, LogFormat, LogLevel
from app.core.sqlite_file import sqlite_file_problem, sqlite_path

_log = structlog.get_logger("app")

_NOBODYS_DOMAINS = ("@example.com", "@example.org", "@example.net")
_MOST_REQUESTS_A_SECOND = 100
_READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Level(StrEnum):
    """How much a finding matters, the least first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Its place: a higher one matters more."""
        return list(Level).index(self)


class Finding(NamedTuple):
    """One thing to know: its lasting id, level and setting, what it is, and what to do about it. Never a value."""

    id: str
    level: Level
    setting: str
    message: str
    hint: str


def unusable(error: SettingsError) -> list[Finding]:
    """The settings that stop the boot."""
    return [Finding("settings.E001", Level.ERROR, setting, message, hint) for setting, message, hint in error.problems]


def variable_findings() -> list[Finding]:
    """Variables of the environment that are probably meant to be settings, or have another value than was meant."""
    return [Finding("settings.W001", Level.WARNING, *problem) for problem in suspicious_variables()]


def log_findings(settings: Settings, env_file: Path) -> None:
    """Log at the start of the service what is probably wrong with its settings; in production what `--deploy` finds."""
    findings = variable_findings()
    if settings.production:
        findings += deploy_findings(settings, env_file)
    for finding in findings:
        if finding.level.rank >= Level.WARNING.rank:
            _log.warning("setting_suspicious", id=finding.id, setting=finding.setting, message=finding.message)


def file_findings(settings: Settings) -> list[Finding]:
    """Why the file of SQLite cannot be used."""
    path = sqlite_path(settings.database_url)
    problem = None if path is None else sqlite_file_problem(path, migrates=True)
    if problem is None:
        return []
    hint = "Name a file in a folder that the service can write to, or change who owns it"
    return [Finding("settings.E002", Level.ERROR, "DATABASE_URL", f"cannot be used: {problem}", hint)]


def deploy_findings(settings: Settings, env_file: Path) -> list[Finding]:
    """What is not as production should have it, whatever `ENVIRONMENT` says."""
    return [
        *_of_environment(settings),
        *_of_limits(settings),
        *_of_stores(settings),
        *_of_mail(settings),
        *_of_tokens(settings),
        *_of_file(env_file),
    ]


def _of_environment(settings: Settings) -> Iterator[Finding]:
    if not settings.production:
        yield Finding(
            "deploy.E001",
            Level.ERROR,
            "ENVIRONMENT",
            "is not production: its rules are not enforced",
            "Remove it, or set ENVIRONMENT=production",
        )
    if not settings.public_url.startswith("https://"):
        yield Finding(
            "deploy.E002",
            Level.ERROR,
            "PUBLIC_URL",
            "is plain http: tokens can be read on the way",
            "Example: PUBLIC_URL=https://api.example.com",
        )
    if any(host.startswith("*") for host in settings.allowed_hosts):
        yield Finding(
            "deploy.W001", Level.WARNING, "ALLOWED_HOSTS", "holds a wildcard", "Name each host that is served"
        )
    if settings.admin_email.endswith(_NOBODYS_DOMAINS):
        yield Finding("deploy.W002", Level.WARNING, "ADMIN_EMAIL", "reaches nobody", "Set an address that is read")
    if settings.log_format is not LogFormat.JSON:
        yield Finding("deploy.W003", Level.WARNING, "LOG_FORMAT", "is for people", "Set LOG_FORMAT=json for collectors")
    if settings.log_level is LogLevel.DEBUG:
        yield Finding("deploy.W004", Level.WARNING, "LOG_LEVEL", "is debug, which tells too much", "Set LOG_LEVEL=info")
    if not settings.trusted_proxies:
        yield Finding(
            "deploy.I001",
            Level.INFO,
            "TRUSTED_PROXIES",
            "is empty: behind a proxy every request seems to be plain http from one address, and is refused",
            "Name the addresses of the proxy. Example: TRUSTED_PROXIES=10.0.0.5",
        )


def _of_limits(settings: Settings) -> Iterator[Finding]:
    limit = parse_limit(settings.rate_limit_default)
    if limit.amount > _MOST_REQUESTS_A_SECOND * limit.get_expiry():
        yield Finding(
            "deploy.W012",
            Level.WARNING,
            "RATE_LIMIT_DEFAULT",
            f"lets one client make more than {_MOST_REQUESTS_A_SECOND} requests a second",
            "Example: RATE_LIMIT_DEFAULT=300/minute",
        )
    if not settings.hsts_include_subdomains:
        yield Finding(
            "deploy.I003",
            Level.INFO,
            "HSTS_INCLUDE_SUBDOMAINS",
            "is off: browsers may use plain http for names below the host (ASVS 3.4.1)",
            "Remove it when every name below the host has https",
        )


def refused_in_production(settings: Settings, found: Iterable[Finding]) -> list[Finding]:
    """The settings that production refuses and another environment allows, without those with an error already."""
    if settings.production:
        return []
    named = {finding.setting for finding in found if finding.level is Level.ERROR}
    try:
        load_settings(environment=Environment.PRODUCTION)
    except SettingsError as error:
        problems = [problem for problem in error.problems if problem.setting not in named]
        return [Finding("deploy.E005", Level.ERROR, *problem) for problem in problems]
    return []


def _of_stores(settings: Settings) -> Iterator[Finding]:
    database = make_url(settings.database_url.get_secret_value())
    if database.get_backend_name() == "sqlite":
        yield Finding(
            "deploy.W005",
            Level.WARNING,
            "DATABASE_URL",
            "is SQLite: one machine, one disk",
            "Use PostgreSQL for more than one machine",
        )
    elif not all(map(is_local, hosts_of(database))) and database.query.get("sslmode") != VERIFIED:
        yield Finding(
            "deploy.W006",
            Level.WARNING,
            "DATABASE_URL",
            "reaches another machine without verified TLS",
            "Add ?sslmode=verify-full&sslrootcert=/path/to/authorities.pem, or sslrootcert=system",
        )
    if (database.username or "").split(".")[0] == "postgres":  # Supabase adds the name of the project
        yield Finding(
            "deploy.W011",
            Level.WARNING,
            "DATABASE_URL",
            "connects as postgres, which may do everything",
            "Make a role that owns this database alone (docs/operations.md)",
        )
    if settings.redis_url is None:
        yield Finding(
            "deploy.W007",
            Level.WARNING,
            "REDIS_URL",
            "is not set: each process counts its rate limits for itself",
            "Set it where more than one process serves",
        )
        return
    redis = urlsplit(settings.redis_url.get_secret_value())
    if redis.scheme == "redis" and not is_local(redis.hostname):
        yield Finding("deploy.W008", Level.WARNING, "REDIS_URL", "reaches another machine without TLS", "Use rediss://")


def _of_mail(settings: Settings) -> Iterator[Finding]:
    if settings.smtp_url is None:
        yield Finding(
            "deploy.E004",
            Level.ERROR,
            "SMTP_URL",
            "is not set: mail is written to files, and reaches nobody",
            "Example: SMTP_URL=smtp://user:password@smtp.example.com:587",
        )
    if settings.mail_from != settings.admin_email and settings.mail_from.endswith(_NOBODYS_DOMAINS):
        yield Finding(
            "deploy.W010", Level.WARNING, "MAIL_FROM", "is an address that cannot exist", "Set one of your own domain"
        )


def _of_tokens(settings: Settings) -> Iterator[Finding]:
    if settings.oauth_password_grant:
        yield Finding(
            "deploy.W009",
            Level.WARNING,
            "OAUTH_PASSWORD_GRANT",
            "is on: RFC 9700 and OWASP ASVS 10.4.4 ban the grant",
            "Let clients sign in at /api/v1/signin",
        )
    if settings.secret_key_fallbacks:
        yield Finding(
            "deploy.I002",
            Level.INFO,
            "SECRET_KEY_FALLBACKS",
            "still reads what earlier keys made",
            "When nothing made with them is in use, run: manage rotate-secret-key --retire",
        )


def _of_file(env_file: Path) -> Iterator[Finding]:
    if sys.platform != "win32" and env_file.is_file() and env_file.stat().st_mode & _READABLE_BY_OTHERS:
        yield Finding(
            "deploy.E003", Level.ERROR, ".env", "can be read by other users of this machine", "Run: chmod 600 .env"
        )
