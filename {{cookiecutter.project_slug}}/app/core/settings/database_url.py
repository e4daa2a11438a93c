"""`DATABASE_URL`: SQLite or PostgreSQL, with the options that libpq and other clients write after the `?`.

asyncpg takes other names than libpq. Here each option is checked, brought into one form under libpq's name, and handed
to asyncpg under its own.
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

import os
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.core.settings.rules import option_named, refuse, refuse_if, refuse_space

SYSTEM = "system"
VERIFIED = "verify-full"

_ASYNC_DRIVERS = {
    **dict.fromkeys(("sqlite", "sqlite+aiosqlite"), "sqlite+aiosqlite"),
    **dict.fromkeys(("postgres", "postgresql", "postgresql+asyncpg"), "postgresql+asyncpg"),
}
# What belongs before the `?`, as the fields of SQLAlchemy's URL are called.
_PLACES = {"user": "username", "password": "password", "dbname": "database", "database": "database"}
POOLER = "pgbouncer"
# With either of them at 0, asyncpg or SQLAlchemy caches no statement: what PgBouncer needs.
_CACHES = ("statement_cache_size", "prepared_statement_cache_size")
_VALUES = {
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer"),
    POOLER: ("false", "true"),
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", VERIFIED),
    "target_session_attrs": ("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
    **dict.fromkeys(_CACHES, ("0",)),
}
_VERIFYING = frozenset({"verify-ca", VERIFIED})
_FILES = ("sslrootcert", "sslcert", "sslkey")
_FREE = frozenset({"application_name", "connect_timeout", "host", "options", "port", *_FILES})
_MOST_SECONDS = 60
# https://www.sqlite.org/uri.html: a file that may only be read, for example.
_SQLITE_OPTIONS = frozenset({"mode", "uri"})


def database_dsn(value: str) -> str:
    """Accept the URL of SQLite in a file or of PostgreSQL; it gets the asynchronous driver of its kind."""
    refuse_space(value)
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        refuse("is not a database URL")
    driver = _ASYNC_DRIVERS.get(url.drivername)
    if driver is None:
        refuse("is for another database than SQLite and PostgreSQL, or names another driver than ours")
    url = url.set(drivername=driver)
    if url.get_backend_name() == "sqlite":
        if url.database in {None, "", ":memory:"} or url.host:
            refuse("names no file: write sqlite:/// and a relative path, or sqlite://// and an absolute one")
        for name in url.query.keys() - _SQLITE_OPTIONS:
            refuse(f"has an option{option_named(name)} that is not supported: SQLite's file has `mode` and `uri` alone")
        return url.render_as_string(hide_password=False)
    url = _with_places(url)
    if not url.database:
        refuse("names no database: write it after the host, as in postgresql://user:password@host/name")
    url = url.set(query=_options(url))
    try:
        url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):
        fix = "write each of several hosts with its port, as in ?host=a:5432&host=b:5432"
        refuse(f"has hosts and ports that do not fit together: {fix}")
    return url.render_as_string(hide_password=False)


def hosts_of(url: URL) -> tuple[str | None, ...]:
    """Every host that a connection may go to: no name, and a path, are a socket of this machine."""
    given = url.query.get("host", ())
    hosts = given.split(",") if isinstance(given, str) else given
    return tuple(re.sub(r":\d*\Z", "", host) for host in hosts) or (url.host,)


def connect_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Translate what SQLAlchemy makes of a URL of `database_dsn` to the arguments of `asyncpg.connect`."""
    arguments = dict(options)
    if arguments.pop(POOLER, None):
        arguments["statement_cache_size"] = 0
    mode, *files = (arguments.pop(name, None) for name in ("sslmode", *_FILES))
    if mode is not None:
        arguments["ssl"] = _tls(mode, *files) if any(files) else mode
    if "connect_timeout" in arguments:
        arguments["timeout"] = int(arguments.pop("connect_timeout"))
    given = {name: arguments.pop(name) for name in ("application_name", "options") if name in arguments}
    if given:
        arguments["server_settings"] = {**arguments.get("server_settings", {}), **given}
    return arguments


def _with_places(url: URL) -> URL:
    """Put user, password and database before the `?`, where everything else looks for them."""
    for name, place in _PLACES.items():
        if name in url.query:
            if getattr(url, place) or not isinstance(url.query[name], str):
                refuse(f"names the {place} more than once")
            url = url.difference_update_query([name]).set(**{place: url.query[name]})  # type: ignore[arg-type]
    return url


def _options(url: URL) -> dict[str, str | tuple[str, ...]]:
    options: dict[str, Any] = {}
    for name, value in url.query.items():
        known = "sslmode" if name == "ssl" else name
        refuse_if(known not in {*_VALUES, *_FREE}, f"has an option{option_named(name)} that is not supported")
        is_double = known in options or (not isinstance(value, str) and known != "host")
        refuse_if(is_double, f"has the option {name} more than once")
        refuse_if(not "".join(value).isprintable(), f"has an option {name} that holds a control character")
        if known in _VALUES and value not in _VALUES[known]:
            refuse(f"has an option {name} that is not one of: {', '.join(_VALUES[known])}")
        options[known] = value
    seconds = options.get("connect_timeout", "1")
    if not (re.fullmatch(r"[0-9]{1,2}", seconds) and 1 <= int(seconds) <= _MOST_SECONDS):
        refuse(f"has an option connect_timeout that is not a number of seconds from 1 to {_MOST_SECONDS}")
    pooled = [options.pop(name, None) for name in (POOLER, *_CACHES)]
    return _with_tls({**options, POOLER: "true"} if "true" in pooled or "0" in pooled else options)


def _with_tls(options: dict[str, Any]) -> dict[str, Any]:
    options.pop("gssencmode", None)
    # asyncpg has no channel binding. It guards against a server in the middle, as a verified certificate does.
    if options.pop("channel_binding", None) == "require":
        options["sslmode"] = VERIFIED
        options.setdefault("sslrootcert", SYSTEM)
    if options.keys().isdisjoint(_FILES) and options.get("sslmode") not in _VERIFYING:
        return options
    # Without a mode, they are there to verify the server.
    mode = options.setdefault("sslmode", VERIFIED)
    if mode in _VERIFYING and "sslrootcert" not in options:
        options["sslrootcert"] = _usual_certificates()
    if mode not in ({VERIFIED} if options.get("sslrootcert") == SYSTEM else {"require", *_VERIFYING}):
        refuse(f"has an option sslmode={mode} with which the certificates are not used: write sslmode={VERIFIED}")
    refuse_if("sslkey" in options and "sslcert" not in options, "has an option sslkey without sslcert")
    try:
        _tls("require", *(options.get(name) for name in _FILES))
    except OSError:
        refuse(f"has an option {' or '.join(_FILES)} with a file that cannot be read, or that holds no certificate")
    return options


def _usual_certificates() -> str:
    """Return where libpq looks for the authorities that a server's certificate may come from."""
    path = os.environ.get("PGSSLROOTCERT", "")
    with suppress(RuntimeError):  # there is no home
        path = path or str(Path("~/.postgresql/root.crt").expanduser())
    if path != SYSTEM and not Path(path).is_file():
        refuse(
            "verifies the server and names no certificates of authorities: add sslrootcert=/path/to/authorities.pem,"
            " or sslrootcert=system for those that this machine trusts, or make ~/.postgresql/root.crt"
        )
    return path


def _tls(mode: str, authorities: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Do what libpq does with the mode and the files; raises `OSError` for a file without certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == VERIFIED
    if authorities == SYSTEM:
        context.load_default_certs()
    elif authorities:
        context.load_verify_locations(cafile=authorities)
    else:
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        # An encrypted key fails, instead of asking at the terminal for its password.
        context.load_cert_chain(certificate, key, password="")
    return context
