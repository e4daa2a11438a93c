"""What the settings refuse: always by the name of the setting, never with its value."""

import pytest

from app.core.settings.model import load_settings
from tests.support.settings_sources import CANARY, GOOD, PRODUCTION, Sources


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///app.db", "sqlite+aiosqlite:///app.db"),
        ("postgresql://app:6h3JfKq9@db/app", "postgresql+asyncpg://app:6h3JfKq9@db/app"),
        ("postgres://app:6h3JfKq9@db/app?sslmode=require", "postgresql+asyncpg://app:6h3JfKq9@db/app?sslmode=require"),
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
    ("REDIS_URL", f"redis://localhost?{CANARY}=1"),
    ("REDIS_URL", f"redis://localhost?health_check_interval={CANARY}"),
    ("REDIS_URL", f"redis://localhost?password={CANARY}"),
    ("REDIS_URL", "redis://localhost?ssl_cert_reqs=none"),
    ("REDIS_URL", f"rediss://localhost?ssl_cert_reqs={CANARY}"),
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
    ("TRUSTED_PROXIES", "10.0.0.1:port"),
    ("TRUSTED_PROXIES", "10.0.0.0:80/8"),
    ("TRUSTED_PROXIES", "[10.0.0.1]"),
    ("TRUSTED_PROXIES", "fe80::1%eth0"),
    ("REGISTRATION", CANARY),
    ("OAUTH_PASSWORD_GRANT", CANARY),
    ("RATE_LIMIT_SIGNIN", CANARY),
    ("RATE_LIMIT_DEFAULT", "0/minute"),
    ("ACCESS_TOKEN_MINUTES", "11"),
    ("SESSION_MAX_DAYS", "3"),
    ("SESSIONS_PER_USER", "0"),
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
        ("SMTP_URL", "smtp://mailer:smtp.service.example@smtp.service.example"),
        ("SMTP_URL", "smtp://mailer:SMTP@smtp.service.example"),
        ("RATE_LIMIT_SIGNIN", "1000000/second"),
        ("RATE_LIMIT_SIGNIN", "10/second"),
        ("RATE_LIMIT_SIGNIN", "1000/day"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "2000::/7"),
        ("TRUSTED_PROXIES", "2000::/16"),
        ("TRUSTED_PROXIES", ",".join(f"{first}.0.0.0/8" for first in range(256))),
        ("TRUSTED_PROXIES", "13.0.0.0/9,13.128.0.0/9,14.0.0.0/24"),
        ("TRUSTED_PROXIES", ",".join(f"2a{second:02x}::/16" for second in range(16))),
        ("DATABASE_URL", "postgresql://postgres:postgres@db/app"),
        ("DATABASE_URL", "postgresql://app:changeme@db/app"),
        ("REDIS_URL", "redis://redis.service.example"),
        ("REDIS_URL", "redis://:redis@redis.service.example"),
        ("REDIS_URL", "rediss://:redis.service.example@redis.service.example"),
        ("REDIS_URL", "rediss://:6h3JfKq9zz@redis.service.example?ssl_cert_reqs=none"),
        ("REDIS_URL", "rediss://:6h3JfKq9zz@redis.service.example?ssl_cert_reqs=optional"),
        ("REDIS_URL", "rediss://:6h3JfKq9zz@redis.service.example?ssl_check_hostname=False"),
    ],
)
def test_production_refuses_what_development_allows(sources: Sources, name: str, value: str) -> None:
    """The same value starts elsewhere, so that it is the environment that is judged."""
    sources.environment(**PRODUCTION | {name: value})
    assert f"{name}: " in sources.refused()
    sources.environment(ENVIRONMENT="development")
    assert not load_settings().production


@pytest.mark.parametrize(
    "networks",
    [
        "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7",
        "104.16.0.0/13,172.64.0.0/13,2400:cb00::/32,2606:4700::/32,2a06:98c0::/29",
        "13.32.0.0/15,13.224.0.0/14,2600:9000::/28",
    ],
    ids=["private", "cloudflare", "cloudfront"],
)
def test_production_accepts_the_networks_of_proxies(sources: Sources, networks: str) -> None:
    """Private networks of any size, and those that big providers publish."""
    sources.environment(**PRODUCTION, TRUSTED_PROXIES=networks)
    assert len(load_settings().trusted_proxies) == networks.count(",") + 1


def test_production_accepts_tls_of_redis_with_a_certificate_of_its_own(sources: Sources) -> None:
    """The options that redis-py has for TLS arrive there."""
    url = "rediss://:6h3JfKq9zz@redis.service.example:6380/1?ssl_cert_reqs=required&ssl_ca_certs=/etc/redis/ca.pem"
    sources.environment(**PRODUCTION, REDIS_URL=url)
    redis_url = load_settings().redis_url
    assert redis_url is not None
    assert redis_url.get_secret_value() == url


def test_every_fault_is_named_at_once(sources: Sources) -> None:
    """Nobody starts the service once for each mistake."""
    sources.environment(ITEMS_PER_USER="x", LOG_LEVEL="loud")
    message = sources.refused()
    for name in ("ITEMS_PER_USER", "LOG_LEVEL", "SECRET_KEY", "DATABASE_URL", "ADMIN_EMAIL"):
        assert f"{name}: " in message
