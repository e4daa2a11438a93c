"""Settings: where they come from, and what is refused, always without a value."""

import pickle
import secrets
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from app.core.settings import (
    Environment,
    LogFormat,
    Registration,
    Settings,
    SettingsError,
    load_settings,
    source_of,
)

CANARY = "canary-that-is-never-shown"
GOOD = {
    "ADMIN_EMAIL": "operator@service.example",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "DATABASE_URL": "sqlite:///app.db",
}
PRODUCTION = {**GOOD, "PUBLIC_URL": "https://api.service.example", "SMTP_URL": "smtps://smtp.service.example"}


class Sources:
    """The environment, `.env` and the folder of secrets, each empty to begin with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.monkeypatch = monkeypatch
        self.env_file = folder / ".env"
        self.secrets = folder / "secrets"
        monkeypatch.setattr("app.core.settings.ENV_FILE", self.env_file)
        monkeypatch.setattr("app.core.settings.SECRETS_DIR", self.secrets)

    def environment(self, **values: str) -> "Sources":
        """Set variables of the environment."""
        for name, value in values.items():
            self.monkeypatch.setenv(name, value)
        return self

    def dotenv(self, text: str | bytes) -> "Sources":
        """Write `.env`."""
        self.env_file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self

    def secret(self, name: str, value: str) -> "Sources":
        """Write a file of a secret."""
        self.secrets.mkdir(exist_ok=True)
        (self.secrets / name).write_text(value)
        return self

    def refused(self) -> str:
        """The message with which the settings are refused; no value is in it."""
        with pytest.raises(SettingsError) as caught:
            load_settings()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert CANARY not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sources:
    """Sources that are the test's own."""
    return Sources(monkeypatch, tmp_path)


def test_the_environment_comes_before_env_before_the_files_of_secrets(sources: Sources) -> None:
    """The first source that has a value wins; the end of the line in a file is no part of a secret."""
    sources.environment(ENVIRONMENT="test", APP_NAME="from the environment", ADMIN_EMAIL=GOOD["ADMIN_EMAIL"])
    sources.dotenv("APP_NAME=from .env\nITEMS_PER_USER=7\nDATABASE_URL=sqlite:///app.db\n")
    sources.secret("secret_key", GOOD["SECRET_KEY"] + "\n").secret("items_per_user", "8")
    settings = load_settings()
    assert (settings.app_name, settings.items_per_user) == ("from the environment", 7)
    assert settings.secret_key.get_secret_value() == GOOD["SECRET_KEY"]


@pytest.mark.asvs("13.4.2")
def test_unset_means_production(sources: Sources) -> None:
    """Whoever forgets the setting gets the strictest rules, JSON logs and one host."""
    sources.environment(**PRODUCTION)
    settings = load_settings()
    assert settings.environment is Environment.PRODUCTION
    assert settings.production
    assert settings.log_format is LogFormat.JSON
    assert settings.registration is Registration.CLOSED
    assert settings.allowed_hosts == ("api.service.example",)


def test_registration_is_open_only_where_it_is_said_or_tried(sources: Sources) -> None:
    """Open while developing; in production closed, unless it is opened by name, in whatever case."""
    sources.environment(**PRODUCTION, REGISTRATION="Open")
    assert load_settings().registration is Registration.OPEN
    sources.environment(ENVIRONMENT="development", REGISTRATION="")
    assert load_settings().registration is Registration.OPEN
    sources.environment(REGISTRATION="closed")
    assert load_settings().registration is Registration.CLOSED


def test_an_empty_value_means_unset(sources: Sources) -> None:
    """`REDIS_URL=` in `.env` is not a URL."""
    sources.environment(**PRODUCTION, REDIS_URL="", ENVIRONMENT="")
    assert load_settings().redis_url is None


def test_lists_are_written_with_commas(sources: Sources) -> None:
    """With or without space, and each entry in its one form."""
    sources.environment(
        **PRODUCTION,
        ALLOWED_HOSTS="API.service.example, www.service.example",
        CORS_ORIGINS="https://App.service.example:443",
        TRUSTED_PROXIES="10.0.0.5, fd00::/64",
        SECRET_KEY_FALLBACKS=f"{secrets.token_urlsafe(64)},{secrets.token_urlsafe(64)}",
    )
    settings = load_settings()
    assert settings.allowed_hosts == ("api.service.example", "www.service.example")
    assert settings.cors_origins == ("https://app.service.example",)
    assert settings.trusted_proxies == (ip_network("10.0.0.5"), ip_network("fd00::/64"))
    assert len(settings.secret_key_fallbacks) == 2


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///app.db", "sqlite+aiosqlite:///app.db"),
        ("postgresql://app:6h3JfKq9@db/app", "postgresql+asyncpg://app:6h3JfKq9@db/app"),
        ("postgres://app:6h3JfKq9@db/app?sslmode=require", "postgresql+asyncpg://app:6h3JfKq9@db/app?ssl=require"),
    ],
)
def test_a_database_url_gets_the_asynchronous_driver(sources: Sources, given: str, driver: str) -> None:
    """Whatever provider wrote it."""
    sources.environment(**PRODUCTION | {"DATABASE_URL": given})
    assert load_settings().database_url.get_secret_value() == driver


@pytest.mark.asvs("12.3.1")
@pytest.mark.parametrize(
    "url",
    [
        "smtp://mailer:6h3J%3AfKq9@smtp.service.example:587",
        "smtps://smtp.service.example",
        "smtp://[2001:db8::1]:25",
        "smtp://127.0.0.1:1025?tls=off",
        "smtp://localhost/?tls=off",
    ],
)
def test_a_mail_server_is_on_this_machine_or_speaks_tls(sources: Sources, url: str) -> None:
    """What is accepted, in production too; mail comes from the administrator unless another address is set."""
    sources.environment(**PRODUCTION | {"SMTP_URL": url})
    settings = load_settings()
    assert settings.smtp_url is not None
    assert settings.smtp_url.get_secret_value() == url
    assert settings.mail_from == GOOD["ADMIN_EMAIL"]
    sources.environment(MAIL_FROM="no-reply@service.example")
    assert load_settings().mail_from == "no-reply@service.example"


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_setting_is_named(sources: Sources, name: str) -> None:
    """What has no default is asked for by its name."""
    sources.environment(**{key: value for key, value in PRODUCTION.items() if key != name})
    assert f"{name}: is missing" in sources.refused()


@pytest.mark.asvs("11.2.3", "13.2.3")
@pytest.mark.parametrize("environment", ["development", "test", "production"])
@pytest.mark.parametrize(
    "key",
    [
        "short",
        "replace-me" * 8,
        "changethis18b9ba513485495d69b33cb66c251cd20791e4d9",
        "a" * 64,
        "abcdefgh" * 8,
        "x y" * 20,
    ],
)
def test_a_weak_key_is_refused_everywhere(sources: Sources, environment: str, key: str) -> None:
    """Short, a placeholder, repeated: as the key, and as a fallback."""
    sources.environment(**PRODUCTION | {"ENVIRONMENT": environment, "SECRET_KEY": key})
    assert "SECRET_KEY: " in sources.refused()
    sources.environment(SECRET_KEY=GOOD["SECRET_KEY"], SECRET_KEY_FALLBACKS=key)
    assert "SECRET_KEY_FALLBACKS: " in sources.refused()


BAD: list[tuple[str, str]] = [
    ("ENVIRONMENT", CANARY),
    ("APP_NAME", "two\nlines"),
    ("APP_NAME", "   "),
    ("ADMIN_EMAIL", CANARY),
    ("ADMIN_EMAIL", f"{CANARY}..x@service.example"),
    ("ITEMS_PER_USER", CANARY),
    ("ITEMS_PER_USER", "5.5"),
    ("ITEMS_PER_USER", "0"),
    ("DATABASE_URL", f"mysql://u:{CANARY}@h/x"),
    ("DATABASE_URL", CANARY),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "postgresql://db"),
    ("DATABASE_URL", f"sqlite:///a b{CANARY}"),
    ("REDIS_URL", f"http://{CANARY}"),
    ("REDIS_URL", "redis://"),
    ("REDIS_URL", "unix://"),
    ("SMTP_URL", CANARY),
    ("SMTP_URL", f"http://{CANARY}"),
    ("SMTP_URL", "smtp://"),
    ("SMTP_URL", f"smtp://user:{CANARY}@host/path"),
    ("SMTP_URL", f"smtp://user:{CANARY}@h ost"),
    ("SMTP_URL", f"smtp://user:{CANARY}@h_(st"),
    ("SMTP_URL", f"smtp://user:{CANARY}@host:port"),
    ("SMTP_URL", f"smtp://user:{CANARY}%0d%0aQUIT@host"),
    ("SMTP_URL", f"smtp://{CANARY}@host"),
    ("SMTP_URL", f"smtp://:{CANARY}@host"),
    ("SMTP_URL", f"smtp://user:{CANARY}@localhost?tls=no"),
    ("SMTP_URL", f"smtps://user:{CANARY}@localhost?tls=off"),
    ("SMTP_URL", f"smtp://user:{CANARY}@smtp.service.example?tls=off"),
    ("MAIL_FROM", CANARY),
    ("MAIL_FROM", f"Name <{CANARY}@service.example>"),
    ("MAIL_FROM", f"{CANARY}@service.example\r\nBcc: eve@evil.example"),
    ("PUBLIC_URL", f"https://{CANARY}/path"),
    ("PUBLIC_URL", f"https://user:{CANARY}@host"),
    ("PUBLIC_URL", "ftp://host"),
    ("PUBLIC_URL", "https://host:port"),
    ("ALLOWED_HOSTS", "https://host"),
    ("ALLOWED_HOSTS", f"{CANARY} space"),
    ("CORS_ORIGINS", "*"),
    ("CORS_ORIGINS", "null"),
    ("CORS_ORIGINS", "https://host/path"),
    ("TRUSTED_PROXIES", CANARY),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("REGISTRATION", CANARY),
    ("OAUTH_PASSWORD_GRANT", CANARY),
    ("RATE_LIMIT_SIGNIN", CANARY),
    ("RATE_LIMIT_DEFAULT", "0/minute"),
    ("ACCESS_TOKEN_MINUTES", "11"),
    ("SESSION_MAX_DAYS", "3"),
    ("LOG_LEVEL", CANARY),
    ("LOG_FORMAT", CANARY),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_value_that_breaks_a_rule_is_refused_without_being_shown(sources: Sources, name: str, value: str) -> None:
    """The message names the setting, and no part of the value."""
    sources.environment(**PRODUCTION | {name: value})
    assert f"{name}: " in sources.refused()


@pytest.mark.asvs("12.2.1", "13.2.3", "13.4.2")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", "http://api.service.example"),
        ("PUBLIC_URL", ""),
        ("SMTP_URL", ""),
        ("SMTP_URL", "smtp://mailer:changeme@smtp.service.example"),
        ("SMTP_URL", "smtp://mailer:mailer@localhost?tls=off"),
        ("ALLOWED_HOSTS", "*"),
        ("CORS_ORIGINS", "http://app.service.example"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("DATABASE_URL", "postgresql://postgres:postgres@db/app"),
        ("DATABASE_URL", "postgresql://app:changeme@db/app"),
        ("REDIS_URL", "redis://redis.service.example"),
        ("REDIS_URL", "redis://:redis@redis.service.example"),
    ],
)
def test_production_refuses_what_development_allows(sources: Sources, name: str, value: str) -> None:
    """The same value starts elsewhere, so that it is the environment that is judged."""
    sources.environment(**PRODUCTION | {name: value})
    assert f"{name}: " in sources.refused()
    sources.environment(ENVIRONMENT="development")
    assert not load_settings().production


def test_every_fault_is_named_at_once(sources: Sources) -> None:
    """Nobody starts the service once for each mistake."""
    sources.environment(ITEMS_PER_USER="x", LOG_LEVEL="loud")
    message = sources.refused()
    for name in ("ITEMS_PER_USER", "LOG_LEVEL", "SECRET_KEY", "DATABASE_URL", "ADMIN_EMAIL"):
        assert f"{name}: " in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"SECRETKEY={CANARY}\n", "Did you mean SECRET_KEY?"),
        (f"COMPLETELY_OTHER={CANARY}\n", "is not the name of a setting"),
        (f"a line without {CANARY}\n", "is not of the form NAME=value"),
        (b"APP_NAME=\xff\xfe\n", "UTF-8"),
    ],
)
def test_env_is_read_strictly(sources: Sources, text: str | bytes, words: str) -> None:
    """An unknown name, a line that is none, another encoding: each is said in words."""
    sources.environment(**PRODUCTION).dotenv(text)
    assert words in sources.refused()


def test_the_rest_of_the_environment_is_none_of_our_business(sources: Sources) -> None:
    """Only `.env` is ours alone: a variable or a file of somebody else is no mistake."""
    sources.environment(**PRODUCTION, REGISTRATION="open", OTHER="x").secret("other", "x")
    assert load_settings().production


@pytest.mark.asvs("13.3.1", "16.2.5")
def test_no_text_of_the_settings_shows_a_secret(sources: Sources) -> None:
    """Neither `repr` nor `str` nor a dump; and they cannot be pickled or changed."""
    canaries = [secrets.token_urlsafe(48) for _ in range(5)]
    sources.environment(
        **PRODUCTION
        | {
            "SECRET_KEY": canaries[0],
            "SECRET_KEY_FALLBACKS": canaries[1],
            "DATABASE_URL": f"postgresql://app:{canaries[2]}@db/app",
            "REDIS_URL": f"redis://:{canaries[3]}@redis/0",
            "SMTP_URL": f"smtps://mailer:{canaries[4]}@smtp.service.example",
        }
    )
    settings: Any = load_settings()
    for text in (repr(settings), str(settings), settings.model_dump_json(), f"{settings}"):
        assert not [canary for canary in canaries if canary in text]
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(settings)
    with pytest.raises(Exception, match="frozen"):
        settings.app_name = "other"


def test_settings_can_be_given_by_name(sources: Sources) -> None:
    """As tests and scripts do."""
    sources.environment(**PRODUCTION)
    assert Settings(app_name="given").app_name == "given"
    assert load_settings(items_per_user=3).items_per_user == 3


def test_tells_where_a_value_comes_from(sources: Sources) -> None:
    """The first place that has one, an empty value being none: the environment, `.env`, a file of its name."""
    assert source_of("secret_key") is None
    sources.secrets.mkdir(exist_ok=True)
    (sources.secrets / "SECRET_KEY").write_text("from a file", encoding="utf-8")
    assert source_of("secret_key") == str(sources.secrets)
    sources.dotenv("SECRET_KEY=from-env\n").environment(Secret_Key="")
    assert source_of("secret_key") == str(sources.env_file)
    sources.environment(Secret_Key="from the environment")
    assert source_of("secret_key") == "the environment"
