"""The rules between settings: defaults that depend on others, and what production refuses (ASVS 13.2.3, 13.4.2).

Each function takes a value in its one form and the settings that stand above it in the class. A setting that is wrong
itself is not among those; then the rule that needs it is left out, for the boot is refused anyway.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from limits import parse as parse_limit
from pydantic import SecretStr, ValidationInfo
from sqlalchemy.engine import make_url

from app.core.settings.database_url import hosts_of
from app.core.settings.rules import is_wide, refuse
from app.core.settings.secrets import is_known_password
from app.core.settings.types import Environment, LogFormat, Registration

_Network = TypeVar("_Network", IPv4Network, IPv6Network)

LOCAL_URL = "http://127.0.0.1:8000"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
# Where proxies stand in networks of any size: private, shared, link-local and loopback addresses.
_PRIVATE_4 = tuple(
    map(
        IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
    )
)
_PRIVATE_6 = tuple(map(IPv6Network, ("::1/128", "fc00::/7", "fe80::/10")))
# Of public addresses: more than any provider of proxies has, far less than the internet.
_MOST_PUBLIC_4, _MOST_PUBLIC_6 = 2**24, 2**108
# NIST SP 800-63B-4, 3.2.2: no more than 100 failures in a row.
_MOST_SIGNIN_FAILURES = 100
_SECONDS_AN_ATTEMPT = 6


def default_public_url(settings: dict[str, Any]) -> str:
    """The local server; in production nothing, which the rule of the setting refuses."""
    return "" if _in_production(settings) else LOCAL_URL


def default_mail_from(settings: dict[str, Any]) -> str:
    """The address that people are to write to."""
    return str(settings["admin_email"])


def default_log_format(settings: dict[str, Any]) -> LogFormat:
    """JSON for the collectors of production, a console's lines for people."""
    return LogFormat.JSON if _in_production(settings) else LogFormat.CONSOLE


def default_registration(settings: dict[str, Any]) -> Registration:
    """Open where a developer tries the service; in production nobody comes in whom nobody let in."""
    return Registration.CLOSED if _in_production(settings) else Registration.OPEN


def default_hosts(settings: dict[str, Any]) -> tuple[str, ...]:
    """The host of `PUBLIC_URL`; in development and test this machine's own names as well."""
    own = host_of(settings["public_url"])
    return (own,) if _in_production(settings) else tuple(dict.fromkeys((own, *LOCAL_HOSTS)))


def host_of(url: str) -> str:
    """The host of an origin as it stands in `ALLOWED_HOSTS`: without the port, IPv6 in brackets."""
    name = urlsplit(url).hostname or ""
    return f"[{name}]" if ":" in name else name


def other_keys(keys: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
    """Fallbacks are other keys than `SECRET_KEY`: the same one twice would mean that nothing was rotated."""
    if info.data.get("secret_key") in keys:
        refuse("holds the same key as SECRET_KEY")
    return keys


def guarded_public_url(url: str, info: ValidationInfo) -> str:
    """In production `PUBLIC_URL` is set and is https (ASVS 12.2.1)."""
    if _in_production(info.data) and not url.startswith("https://"):
        refuse("must begin with https:// in production")
    return url


def guarded_hosts(patterns: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """In production nobody else's host is allowed: links and redirects could be poisoned."""
    if _in_production(info.data) and any(is_wide(pattern) for pattern in patterns):
        refuse("cannot allow every host in production: name each")
    return patterns


def guarded_origins(origins: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """In production no page that came over plain http may call with credentials (ASVS 3.4.2)."""
    if _in_production(info.data) and any(origin.startswith("http://") for origin in origins):
        refuse("cannot hold a plain http:// origin in production")
    return origins


def guarded_proxies(
    networks: tuple[IPv4Network | IPv6Network, ...], info: ValidationInfo
) -> tuple[IPv4Network | IPv6Network, ...]:
    """In production no networks so wide that clients stand in them: they could claim any address (ASVS 4.1.3)."""
    public_4 = _public_addresses([net for net in networks if isinstance(net, IPv4Network)], _PRIVATE_4)
    public_6 = _public_addresses([net for net in networks if isinstance(net, IPv6Network)], _PRIVATE_6)
    if _in_production(info.data) and (public_4 > _MOST_PUBLIC_4 or public_6 > _MOST_PUBLIC_6):
        refuse("cannot trust networks as wide as that in production: name the addresses of the proxies")
    return networks


def _public_addresses(networks: Iterable[_Network], private: Iterable[_Network]) -> int:
    """How many addresses are in the networks that are not private, each counted once."""
    public = [network for network in networks if not any(network.subnet_of(known) for known in private)]
    return sum(network.num_addresses for network in collapse_addresses(public))


def guarded_signin_limit(limit: str, info: ValidationInfo) -> str:
    """In production a limit that stops guessing: at most 100 attempts, and no more than ten a minute."""
    item = parse_limit(limit)
    too_fast = item.amount * _SECONDS_AN_ATTEMPT > item.get_expiry()
    if _in_production(info.data) and (item.amount > _MOST_SIGNIN_FAILURES or too_fast):
        refuse("cannot allow more than ten attempts a minute, or more than 100, in production")
    return limit


def guarded_database(url: SecretStr, info: ValidationInfo) -> SecretStr:
    """In production a password that everybody knows is refused (ASVS 13.2.3)."""
    parts = make_url(url.get_secret_value())
    names = (parts.username, parts.database, *hosts_of(parts))
    if _in_production(info.data) and parts.password is not None and is_known_password(parts.password, *names):
        refuse("holds a password that everybody knows")
    return url


def guarded_redis(url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """In production a server on another machine has a password, and not one that everybody knows (ASVS 13.2.3)."""
    if url is None or not _in_production(info.data):
        return url
    parts = urlsplit(url.get_secret_value())
    if parts.password is None and not is_local(parts.hostname):
        refuse("holds no password")
    if parts.password is not None and is_known_password(unquote(parts.password), parts.username, parts.hostname):
        refuse("holds a password that everybody knows")
    if not is_local(parts.hostname) and not _verifies_certificate(parts.query):
        refuse("cannot switch the verification of the certificate off in production")
    return url


def _verifies_certificate(query: str) -> bool:
    """Whether redis-py verifies the certificate and the host name, as it does unless its options say otherwise."""
    options = dict(parse_qsl(query))
    checks_host = options.get("ssl_check_hostname", "true").lower() in {"true", "yes", "1", "on"}
    return options.get("ssl_cert_reqs", "required") == "required" and checks_host


def guarded_smtp(url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """TLS is off for this machine's own server alone; in production there is a server, and no known password."""
    if url is None:
        if _in_production(info.data):
            refuse("is missing: in production mail is sent, and not written to files")
        return url
    parts = urlsplit(url.get_secret_value())
    if parts.query and not is_local(parts.hostname):
        refuse("can only switch TLS off for a server on this machine")
    if (
        _in_production(info.data)
        and parts.password
        and is_known_password(unquote(parts.password), parts.username, parts.hostname)
    ):
        refuse("holds a password that everybody knows")
    return url


def within_longest(days: int, info: ValidationInfo) -> int:
    """A session cannot lie idle for longer than it may last at all (ASVS 7.3.2)."""
    if days < info.data.get("session_idle_days", 0):
        refuse("is shorter than SESSION_IDLE_DAYS")
    return days


def is_local(host: str | None) -> bool:
    """Whether the host is this machine; no host, or the path of a folder, means a socket."""
    try:
        return not host or host == "localhost" or host.startswith("/") or ip_address(host).is_loopback
    except ValueError:
        return False


def _in_production(settings: Mapping[str, Any]) -> bool:
    return settings.get("environment") is Environment.PRODUCTION
