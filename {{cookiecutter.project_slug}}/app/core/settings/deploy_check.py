"""What `manage check` finds: settings that cannot be used, and those that production should not have."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import structlog
from limits import parse as parse_limit
from sqlalchemy.engine import make_url

from app.core.private_files import sqlite_file_problem, sqlite_path
from app.core.settings.database_url import VERIFIED, hosts_of
from app.core.settings.model import Settings, load_settings, suspicious_variables
from app.core.settings.report import SettingsError
from app.core.settings.rules import is_local

_log = structlog.get_logger("app")

_NOBODYS_DOMAINS = ("@example.com", "@example.org", "@example.net")
_MOST_REQUESTS_A_SECOND = 100


Level = Literal["info", "warning", "error"]
LEVELS: dict[str, Level] = {"I": "info", "W": "warning", "E": "error"}
"""How much a finding matters, the least first, by the letter in its id."""


class Finding(NamedTuple):
    """One thing to know: its lasting id, level and setting, what it is, and what to do about it. Never a value."""

    id: str
    level: Level
    setting: str
    message: str
    hint: str


def finding(code: str, setting: str, message: str, hint: str) -> Finding:
    """Make a finding; the letter in its id, as in `deploy.W001`, is its level."""
    return Finding(code, LEVELS[code.partition(".")[2][0]], setting, message, hint)


def variable_findings(settings: Settings) -> list[Finding]:
    """Return the variables that are probably meant to be settings, or have another value than was meant."""
    return [finding("settings.W001", *problem) for problem in suspicious_variables(type(settings))]


def log_findings(settings: Settings, env_file: Path) -> None:
    """Log at the start of the service what is probably wrong with its settings; in production what `--deploy` finds."""
    findings = variable_findings(settings)
    if settings.production:
        findings += deploy_findings(settings, env_file)
    for each in findings:
        if each.level != "info":
            _log.warning("setting_suspicious", id=each.id, setting=each.setting, message=each.message)


def file_findings(settings: Settings) -> Iterator[Finding]:
    """Say why the file of SQLite cannot be used."""
    path = sqlite_path(settings.database_url)
    if path is not None and (problem := sqlite_file_problem(path, migrates=True)):
        hint = "Name a file in a folder that the service can write to, or change who owns it"
        yield finding("settings.E002", "DATABASE_URL", f"cannot be used: {problem}", hint)


def refused_in_production(settings: Settings, found: Iterable[Finding]) -> list[Finding]:
    """Return the settings that production refuses and this environment allows, but those with an error already."""
    named = {each.setting for each in found if each.level == "error"}
    try:
        load_settings(type(settings), environment="production")
    except SettingsError as error:
        return [finding("deploy.E005", *problem) for problem in error.problems if problem.setting not in named]
    return []


def deploy_findings(settings: Settings, env_file: Path) -> Iterator[Finding]:
    """Return what is not as production should have it, whatever `ENVIRONMENT` says."""
    yield from (*_of_service(settings), *_of_stores(settings), *_of_mail_and_tokens(settings))
    if sys.platform != "win32" and env_file.is_file() and env_file.stat().st_mode & 0o077:
        yield finding("deploy.E003", ".env", "can be read by other users of this machine", "Run: chmod 600 .env")


def _of_service(settings: Settings) -> Iterator[Finding]:
    if not settings.production:
        message = "is not production: its rules are not enforced"
        yield finding("deploy.E001", "ENVIRONMENT", message, "Remove it, or set ENVIRONMENT=production")
    if not settings.public_url.startswith("https://"):
        message = "is plain http: tokens can be read on the way"
        yield finding("deploy.E002", "PUBLIC_URL", message, "Example: PUBLIC_URL=https://api.example.com")
    if any(host.startswith("*") for host in settings.allowed_hosts):
        yield finding("deploy.W001", "ALLOWED_HOSTS", "holds a wildcard", "Name each host that is served")
    if settings.log_format != "json":
        yield finding("deploy.W003", "LOG_FORMAT", "is for people", "Set LOG_FORMAT=json for collectors")
    if settings.log_level == "debug":
        yield finding("deploy.W004", "LOG_LEVEL", "is debug, which tells too much", "Set LOG_LEVEL=info")
    if not settings.trusted_proxies:
        message = "is empty: behind a proxy every request seems to be plain http from one address, and is refused"
        hint = "Name the addresses of the proxy. Example: TRUSTED_PROXIES=10.0.0.5"
        yield finding("deploy.I001", "TRUSTED_PROXIES", message, hint)
    limit = parse_limit(settings.rate_limit_default)
    if limit.amount > _MOST_REQUESTS_A_SECOND * limit.get_expiry():
        message = f"lets one client make more than {_MOST_REQUESTS_A_SECOND} requests a second"
        yield finding("deploy.W012", "RATE_LIMIT_DEFAULT", message, "Example: RATE_LIMIT_DEFAULT=300/minute")
    if settings.metrics_port is not None and not settings.metrics_host.is_loopback:
        message = "lets every machine that reaches it read the metrics"
        yield finding("deploy.I004", "METRICS_HOST", message, "Let nothing but the scraper reach METRICS_PORT")
    if not settings.hsts_include_subdomains:
        message = "is off: browsers may use plain http for names below the host (ASVS 3.4.1)"
        hint = "Remove it when every name below the host has https"
        yield finding("deploy.I003", "HSTS_INCLUDE_SUBDOMAINS", message, hint)


def _of_stores(settings: Settings) -> Iterator[Finding]:
    database = make_url(settings.database_url.get_secret_value())
    if database.get_backend_name() == "sqlite":
        hint = "Use PostgreSQL for more than one machine"
        yield finding("deploy.W005", "DATABASE_URL", "is SQLite: one machine, one disk", hint)
    elif not all(map(is_local, hosts_of(database))) and database.query.get("sslmode") != VERIFIED:
        hint = "Add ?sslmode=verify-full&sslrootcert=/path/to/authorities.pem, or sslrootcert=system"
        yield finding("deploy.W006", "DATABASE_URL", "reaches another machine without verified TLS", hint)
    if (database.username or "").split(".")[0] == "postgres":  # Supabase adds the name of the project
        hint = "Make a role that owns this database alone (docs/operations.md)"
        yield finding("deploy.W011", "DATABASE_URL", "connects as postgres, which may do everything", hint)
    redis = urlsplit(settings.redis_url.get_secret_value()) if settings.redis_url else None
    if redis is None:
        message = "is not set: each process counts its rate limits for itself"
        yield finding("deploy.W007", "REDIS_URL", message, "Set it if more than one process serves")
    elif redis.scheme == "redis" and not is_local(redis.hostname):
        yield finding("deploy.W008", "REDIS_URL", "reaches another machine without TLS", "Use rediss://")


def _of_mail_and_tokens(settings: Settings) -> Iterator[Finding]:
    if settings.admin_email.endswith(_NOBODYS_DOMAINS):
        yield finding("deploy.W002", "ADMIN_EMAIL", "reaches nobody", "Set an address that is read")
    if settings.smtp_url is None:
        message = "is not set: mail is written to files, and reaches nobody"
        hint = "Example: SMTP_URL=smtp://user:password@smtp.example.com:587"
        yield finding("deploy.E004", "SMTP_URL", message, hint)
    if settings.mail_from != settings.admin_email and settings.mail_from.endswith(_NOBODYS_DOMAINS):
        yield finding("deploy.W010", "MAIL_FROM", "is an address that cannot exist", "Set one of your own domain")
    if settings.model_dump(exclude_unset=True).get("require_second_factor_for") == ():
        yield finding("deploy.W014", "REQUIRE_SECOND_FACTOR_FOR", "is none (ASVS 6.3.3)", "Name a role, such as admin")
    if settings.oauth_password_grant:
        message = "is on: RFC 9700 and OWASP ASVS 10.4.4 ban the grant"
        yield finding("deploy.W009", "OAUTH_PASSWORD_GRANT", message, "Let clients sign in at /api/v1/signin")
    if settings.secret_key_fallbacks:
        hint = "When nothing made with them is in use, run: manage rotate-secret-key --retire"
        yield finding("deploy.I002", "SECRET_KEY_FALLBACKS", "still reads what earlier keys made", hint)
