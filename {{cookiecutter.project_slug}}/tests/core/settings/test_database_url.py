"""`app/core/settings/database_url.py`: the URLs that providers and other clients write, and what is refused by name."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from app.core.settings.database_url import connect_arguments, database_dsn, hosts_of
from app.core.settings.model import load_settings
from tests.support.servers.certificates import Authority
from tests.support.settings_sources import CANARY, GOOD, PRODUCTION, Sources

URL = "postgresql://app:6h3JfKq9@db.service.example/app"


def arguments_of(url: str) -> dict[str, object]:
    """What `asyncpg.connect` is called with for a `DATABASE_URL`, without the places before the `?`."""
    parsed = make_url(database_dsn(url))
    (_, options) = parsed.get_dialect()().create_connect_args(parsed)
    known = ("host", "port", "user", "password", "database")
    return {name: value for name, value in connect_arguments(options).items() if name not in known}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {}),
        ("?sslmode=require", {"ssl": "require"}),
        ("?ssl=disable", {"ssl": "disable"}),
        ("?connect_timeout=5", {"timeout": 5}),
        ("?application_name=orders", {"server_settings": {"application_name": "orders"}}),
        ("?options=endpoint%3Dep-cool-1", {"server_settings": {"options": "endpoint=ep-cool-1"}}),
        ("?target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("?channel_binding=prefer&gssencmode=disable", {}),
    ],
)
def test_options_of_libpq_are_translated(options: str, expected: dict[str, object]) -> None:
    """Libpq's name in the URL, asyncpg's in the call."""
    assert arguments_of(URL + options) == expected


@pytest.mark.parametrize(
    "options", ["?pgbouncer=true", "?statement_cache_size=0", "?prepared_statement_cache_size=0&statement_cache_size=0"]
)
def test_every_way_to_ask_for_a_pooler_is_one(options: str) -> None:
    """Prisma's, asyncpg's and SQLAlchemy's options have one form."""
    assert make_url(database_dsn(URL + options)).query == {"pgbouncer": "true"}
    assert not make_url(database_dsn(f"{URL}?pgbouncer=false")).query


@pytest.mark.parametrize(
    ("url", "query"),
    [
        (
            "postgresql://o:6h3JfKq9@ep-cool-1-pooler.eu.aws.neon.example/neondb?sslmode=require&channel_binding=require",
            {"sslmode": "verify-full", "sslrootcert": "system"},
        ),
        (
            "postgres://postgres.ref:6h3JfKq9@aws-0-eu.pooler.supabase.example:6543/postgres?pgbouncer=true",
            {"pgbouncer": "true"},
        ),
        ("postgres://u:6h3JfKq9@ec2.heroku.example:5432/d?sslmode=require", {"sslmode": "require"}),
        (
            "postgresql://doadmin:6h3JfKq9@db-do.example:25060/defaultdb?sslmode=verify-full&sslrootcert=system",
            {"sslmode": "verify-full", "sslrootcert": "system"},
        ),
    ],
    ids=["neon", "supabase", "heroku", "digitalocean"],
)
def test_urls_of_providers_start(sources: Sources, url: str, query: dict[str, str]) -> None:
    """As they are copied from their pages; a demanded channel binding becomes a verified certificate."""
    sources.environment(**PRODUCTION | {"DATABASE_URL": url})
    assert make_url(load_settings().database_url.get_secret_value()).query == query


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("?connection_limit=1", "connection_limit"),
        ("?schema=public", "schema"),
        ("?server_settings=x", "server_settings"),
        ("?timeout=5", "timeout"),
        ("?sslcrl=/x", "sslcrl"),
        ("?sslmode=verify", "sslmode"),
        ("?ssl=true", "ssl"),
        ("?gssencmode=require", "gssencmode"),
        ("?pgbouncer=1", "pgbouncer"),
        ("?statement_cache_size=100", "statement_cache_size"),
        ("?connect_timeout=0", "connect_timeout"),
        ("?connect_timeout=soon", "connect_timeout"),
        ("?application_name=a%00user%00postgres", "application_name"),
        ("?sslmode=require&ssl=disable", "ssl"),
        ("?sslmode=require&sslmode=disable", "sslmode"),
        ("?sslmode=require&sslrootcert=system", "sslmode"),
        ("?sslmode=prefer&sslrootcert=/ca.pem", "sslmode"),
        ("?sslrootcert=/nowhere/ca.pem", "sslrootcert"),
        ("?sslmode=require&sslkey=/nowhere/key.pem", "sslkey"),
        ("?sslmode=require&sslcert=/nowhere/cert.pem", "sslcert"),
        ("?host=a,b&port=1,2,3", "host"),
        ("?port=x", "port"),
        ("?user=other", "username"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(sources: Sources, options: str, named: str) -> None:
    """At the boot, by `check` too, and without a value."""
    sources.environment(**PRODUCTION | {"DATABASE_URL": URL + options})
    message = sources.refused()
    assert "DATABASE_URL: " in message
    assert named in message
    assert "6h3JfKq9" not in message


@pytest.mark.parametrize("url", [f"{URL}?{CANARY}=1", f"sqlite:///app.db?{CANARY}=1", "sqlite:///app.db?timeout=5"])
def test_an_option_is_named_only_if_it_can_be_no_secret(sources: Sources, url: str) -> None:
    """A piece of a password that follows a `?` is not shown; SQLite has no options."""
    sources.environment(**GOOD | {"DATABASE_URL": url})
    assert "is not supported" in sources.refused()


def test_verifying_the_server_says_how_certificates_are_named(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without certificates of authorities the boot is refused with the three ways to name them, and each works."""
    monkeypatch.setenv("HOME", str(tmp_path))
    authority = Authority(tmp_path / "authority")
    sources.environment(**PRODUCTION | {"DATABASE_URL": f"{URL}?ssl=verify-full"})
    message = sources.refused()
    for way in ("sslrootcert=/path/to", "sslrootcert=system", "~/.postgresql/root.crt"):
        assert way in message
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql/root.crt").write_bytes(authority.file.read_bytes())
    load_settings()
    (tmp_path / ".postgresql/root.crt").write_text("no certificate")
    assert "sslrootcert" in sources.refused()
    for certificates in ("system", authority.file):
        sources.environment(DATABASE_URL=f"{URL}?ssl=verify-full&sslrootcert={certificates}")
        load_settings()


@pytest.mark.asvs("13.2.3")
@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///orders?host=db.service.example&user=shop&password=shop",
        "postgresql://shop@db.service.example/orders?password=changeme",
        "postgresql://shop:Orders@db.service.example/orders",
        "postgresql://shop:db@db.service.example/orders",
        "postgresql://shop:db2.service.example@/orders?host=db1.service.example:5432&host=db2.service.example:5432",
        "postgresql://shop:orders@db.service.example?dbname=orders",
    ],
)
def test_a_known_password_is_refused_in_production_wherever_it_stands(sources: Sources, url: str) -> None:
    """The name of its user, database or host, or a default; before the `?` or after it."""
    sources.environment(**PRODUCTION | {"DATABASE_URL": url})
    assert "DATABASE_URL: holds a password that everybody knows" in sources.refused()
    sources.environment(ENVIRONMENT="development")
    load_settings()


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql:///app", (None,)),
        ("postgresql://db/app", ("db",)),
        ("postgresql://localhost/app?host=db:5433", ("db",)),
        ("postgresql:///app?host=a,b&port=1,2", ("a", "b")),
        ("postgresql:///app?host=a:1&host=b:2", ("a", "b")),
        ("postgresql:///app?host=/run/postgresql", ("/run/postgresql",)),
    ],
)
def test_hosts_are_found_wherever_they_stand(url: str, hosts: tuple[str | None, ...]) -> None:
    """An option `host` takes the place of the host."""
    assert hosts_of(make_url(database_dsn(url))) == hosts
