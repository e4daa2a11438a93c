"""The rules between settings: defaults that depend on others, and what production refuses (ASVS 13.2.3, 13.4.2).

Each takes a value in its one form, and of the settings that stand above it in the class those that are right.
"""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import collapse_addresses, ip_network
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlsplit

from limits import parse as parse_limit
from pydantic import SecretStr, ValidationInfo
from sqlalchemy.engine import make_url

from app.core.settings.database_url import hosts_of
from app.core.settings.rules import host_of, is_known_password, is_local, refuse_if

_T = TypeVar("_T")

# Where proxies stand in networks of any size: private, shared, link-local and loopback addresses.
_PRIVATE: tuple[Any, ...] = (
    *map(ip_network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12")),
    *map(ip_network, ("192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10")),
)
# Public addresses by the version of IP: more than any provider of proxies has, far less than the internet.
_MOST_PUBLIC = {4: 2**24, 6: 2**108}
# NIST SP 800-63B-4, 3.2.2: no more than 100 failures in a row.
_MOST_SIGNIN_FAILURES = 100
_SECONDS_AN_ATTEMPT = 6


def default(in_production: _T, elsewhere: _T) -> Callable[[dict[str, Any]], _T]:
    """Make the default of a setting that depends on the environment."""
    return lambda settings: in_production if _in_production(settings) else elsewhere


def default_hosts(settings: dict[str, Any]) -> tuple[str, ...]:
    """Allow the host of `PUBLIC_URL`; in development and test this machine's own names as well."""
    own = host_of(urlsplit(settings["public_url"]))
    local = () if _in_production(settings) else ("localhost", "127.0.0.1", "[::1]")
    return tuple(dict.fromkeys((own, *local)))


def _in_production(settings: Mapping[str, Any]) -> bool:
    return settings.get("environment") == "production"


def _parts(url: SecretStr | None) -> SplitResult:
    return urlsplit(url.get_secret_value() if url else "")


def _has_known_password(url: SecretStr | None) -> bool:
    parts = make_url(url.get_secret_value() if url else "none://")
    names = (parts.username, parts.database, *hosts_of(parts))
    return parts.password is not None and is_known_password(parts.password, *names)


def _lets_others_in(url: SecretStr | None) -> bool:
    parts = _parts(url)
    return parts.password is None and not is_local(parts.hostname)


def _skips_verification(url: SecretStr | None) -> bool:
    """Return whether redis-py would not verify the certificate or the host name: its options may say so."""
    parts = _parts(url)
    options = dict(parse_qsl(parts.query))
    checks_host = options.get("ssl_check_hostname", "true").lower() in {"true", "yes", "1", "on"}
    return not is_local(parts.hostname) and (options.get("ssl_cert_reqs", "required") != "required" or not checks_host)


def _allow_everybody(patterns: Iterable[str]) -> bool:
    """Return whether a pattern lets in hosts of anybody: `*`, or everything below a top-level domain."""
    return any(pattern == "*" or (pattern.startswith("*.") and "." not in pattern[2:]) for pattern in patterns)


def _are_plain(origins: Iterable[str]) -> bool:
    return any(origin.startswith("http://") for origin in origins)


def _are_wide(networks: Iterable[Any]) -> bool:
    """Return whether the networks hold so many public addresses, each counted once, that clients stand in them too."""
    public = [net for net in networks if not any(net.version == own.version and net.subnet_of(own) for own in _PRIVATE)]
    for version, most in _MOST_PUBLIC.items():
        networks = collapse_addresses(net for net in public if net.version == version)
        if sum(net.num_addresses for net in networks) > most:
            return True
    return False


def _lets_guess(limit: str) -> bool:
    item = parse_limit(limit)
    return bool(item.amount > _MOST_SIGNIN_FAILURES or item.amount * _SECONDS_AN_ATTEMPT > item.get_expiry())


_KNOWN = "holds a password that everybody knows"  # ASVS 13.2.3
# What is refused: the setting, what is wrong with it, and how its value, and the settings above it, show that.
_REFUSED: tuple[tuple[str, str, Callable[[Any, Mapping[str, Any]], bool]], ...] = (
    # Nothing would be rotated.
    ("secret_key_fallbacks", "holds the same key as SECRET_KEY", lambda keys, above: above.get("secret_key") in keys),
    # ASVS 7.3.2
    (
        "session_max_days",
        "is shorter than SESSION_IDLE_DAYS",
        lambda days, above: days < above.get("session_idle_days", 0),
    ),
)
_REFUSED_IN_PRODUCTION: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("database_url", _KNOWN, _has_known_password),
    ("redis_url", "holds no password", _lets_others_in),
    ("redis_url", _KNOWN, _has_known_password),
    ("redis_url", "cannot switch the verification of the certificate off in production", _skips_verification),
    ("smtp_url", "is missing: in production mail is sent, and not written to files", lambda url: url is None),
    ("smtp_url", _KNOWN, _has_known_password),
    # ASVS 12.2.1
    ("public_url", "must begin with https:// in production", lambda url: not url.startswith("https://")),
    # Links and redirects to the hosts of others could be poisoned.
    ("allowed_hosts", "cannot allow every host in production: name each", _allow_everybody),
    # No page that came over plain HTTP may call with credentials (ASVS 3.4.2).
    ("cors_origins", "cannot hold a plain http:// origin in production", _are_plain),
    # Clients in a trusted network could claim any address (ASVS 4.1.3).
    ("trusted_proxies", "cannot trust networks as wide as that in production: name those of the proxies", _are_wide),
    ("rate_limit_signin", "cannot allow more than ten attempts a minute, or more than 100, in production", _lets_guess),
)


def check(value: Any, info: ValidationInfo) -> Any:
    """Refuse the value of a setting that does not go with those above it; else return it."""
    for name, message, is_wrong in _REFUSED:
        refuse_if(name == info.field_name and is_wrong(value, info.data), message)
    for name, message, is_weak in _REFUSED_IN_PRODUCTION if _in_production(info.data) else ():
        refuse_if(name == info.field_name and is_weak(value), message)
    return value
