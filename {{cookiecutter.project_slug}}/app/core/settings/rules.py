"""The rules for single settings: they return a value in its one form, or raise `ValueError` without repeating it."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import pairwise
from typing import NoReturn
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from limits import parse_many as parse_limits
from redis.asyncio.connection import parse_url

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_LONGEST_NAME = 253  # RFC 1035 §3.1
_MAPPED = 96  # those before an IPv4 address inside IPv6
_OPTION = re.compile(r"[a-z][a-z_]{0,39}")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOMAIN_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"(?=[^@]{{1,64}}@.{{1,253}}\Z){_ATOM}(?:\.{_ATOM})*@{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*")
_REDIS_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
# What redis-py reads from a URL, without what belongs before the host or is set by this service.
_REDIS_OPTIONS = frozenset({"client_name", "db", "health_check_interval", "protocol"})
_REDIS_TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"})
# An address as proxies and people write it: with a port, or in brackets.
_WITH_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}

# Keys and passwords that can be guessed: placeholders, defaults, names, sentences (ASVS 11.2.3, 13.2.3).
MIN_KEY_BYTES = 32
MIN_DISTINCT_CHARACTERS = 8
# Compared without case and punctuation. Each is long enough not to turn up in a random key.
PLACEHOLDERS = (
    "changeit", "changeme", "changethis", "defaultkey", "examplekey", "insecure", "mysecret", "notasecret",
    "notsecure", "passphrase", "password", "placeholder", "replaceme", "replacethis", "secretkey", "secretsecret",
    "supersecret", "topsecret", "verysecret", "yourkeyhere", "yoursecret",
)  # fmt: skip
# Passwords that images, manuals and templates ship.
KNOWN_PASSWORDS = frozenset(
    {"", "123456", "12345678", "admin", "app", "default", "example", "foobared", "guest", "mysecretpassword", "pass"}
    | {"postgres", "postgresql", "redis", "root", "secret", "test", "user", "valkey"}
)

# Words that a separator or a capital letter sets apart, and a number at the end.
_WORD = r"(?:[a-z]{1,14}|[A-Z]{2,14}|(?:[A-Z][a-z]{2,13})+|[0-9]{1,4})"
_WORDS = re.compile(rf"{_WORD}(?:[-_.]+{_WORD})*[0-9]{{0,4}}[.!?]*")
# The most frequent pairs of letters in English; other languages of Europe share most of them.
_FREQUENT_PAIRS = re.compile(
    "(?=(an|ar|as|at|be|ce|ch|co|de|ea|ed|en|er|es|ha|he|hi|ic|in|io|is|it|le|li|ll|ma|me|nd|ne|ng|nt|of|om|on|or|ou"
    "|ra|re|ri|ro|se|si|st|te|th|ti|to|ve|al|ur))"
)
# Sentences have 0.3 to 0.6 of them. Of a million random keys of 32 bytes (base64) about one has 0.3, in hex none.
_SENTENCE_SHARE = 0.3


def email(value: str) -> str:
    """Accept an e-mail address in ASCII."""
    refuse_if(not _EMAIL.fullmatch(value), "is not an e-mail address")
    return value


def redis_dsn(value: str) -> str:
    """Accept the URL of a Redis or Valkey server; it gets the scheme that redis-py knows."""
    parts = split_url(value)
    scheme = _REDIS_SCHEMES.get(parts.scheme, "")
    refuse_if(not scheme, "does not begin with redis://, rediss:// or unix://")
    if scheme == "unix":
        refuse_if(not parts.path.strip("/"), "names no socket")
    elif not (parts.hostname and re.fullmatch(r"/?\d*", parts.path)):
        refuse("names no host, or a database that is not a number")
    known = _REDIS_OPTIONS | _REDIS_TLS_OPTIONS if scheme == "rediss" else _REDIS_OPTIONS
    options = parse_qs(parts.query, keep_blank_values=True)
    for name, values in options.items():
        refuse_if(name not in known, f"has an option{option_named(name)} that is not supported")
        refuse_if(len(values) > 1, f"has the option {name} more than once")
    if options.get("ssl_cert_reqs", ["required"])[0] not in {"required", "optional", "none"}:
        refuse("has an option ssl_cert_reqs that is not required, optional or none")
    url = scheme + value[len(parts.scheme) :]
    try:
        parse_url(url)
    except ValueError:
        refuse("has an option with a value that redis-py cannot read")
    return url


def smtp_dsn(value: str) -> str:
    """Accept the URL of a mail server: `smtp://` with STARTTLS, or `smtps://`; `?tls=off` for this machine alone."""
    parts = split_url(value)
    refuse_if(parts.scheme not in {"smtp", "smtps"}, "does not begin with smtp:// or smtps://")
    if not parts.hostname or parts.path not in {"", "/"} or parts.fragment:
        refuse("names no host, or holds more than a user, a password, a host and a port")
    host_name(host_of(parts))
    if parts.query:
        refuse_if((parts.scheme, parts.query) != ("smtp", "tls=off"), "has an option other than smtp://…?tls=off")
        refuse_if(not is_local(parts.hostname), "can only switch TLS off for a server on this machine")
    is_half = bool(parts.username) != bool(parts.password)
    refuse_if(is_half, "holds a user without a password, or a password without a user")
    refuse_if(not unquote(parts.netloc).isprintable(), "holds a control character in the user or the password")
    return value


def origin(value: str) -> str:
    """Accept an origin; returns it as browsers write it (RFC 6454 §6.2), without a `/` at the end."""
    refuse_if(value in {"*", "null"}, f'cannot be "{value}": name each origin')
    parts = split_url(value)
    refuse_if(parts.scheme not in _DEFAULT_PORTS, "does not begin with https:// or http://")
    if parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment or value[-1] in "?#":
        refuse("holds more than a scheme, a host and a port")
    port = "" if parts.port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host_name(host_of(parts))}{port}"


def public_url(value: str) -> str:
    """Accept the origin under which the service is reached."""
    refuse_if(not value, "is missing: production has no default for it")
    return origin(value)


def host_pattern(value: str) -> str:
    """Accept a host without a port, `*.` and a domain for all names below it, or `*` for every host."""
    if value == "*":
        return value
    return "*." + host_name(value[2:]) if value.startswith("*.") else host_name(value)


def network(value: str) -> IPv4Network | IPv6Network:
    """Accept an address, also with a port or in brackets, or a network in CIDR notation; IPv4 inside IPv6 is IPv4."""
    try:
        found = ip_network(value if "/" in value else parse_address(value))
    except ValueError:
        refuse("is not an address or a network, or has bits set beyond its prefix")
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    return IPv4Network((mapped, found.prefixlen - _MAPPED)) if mapped and found.prefixlen >= _MAPPED else found


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """Parse an address, with a port or without; raises `ValueError`, for a zone too. IPv4 inside IPv6 is IPv4."""
    if "%" in text:
        raise ValueError("an address with a zone")
    match = _WITH_PORT.fullmatch(text)
    address = ip_address(match["v6"] or match["v4"] if match else text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def rate_limit(value: str) -> str:
    """Accept one limit in the notation of the limits library, as in `10/15minutes`."""
    try:
        limits = parse_limits(value)
    except ValueError:
        limits = []
    if len(limits) != 1 or limits[0].amount < 1 or limits[0].multiples < 1:
        refuse("is not one limit of the form count/period")
    return value


def host_name(value: str) -> str:
    """Accept a host name in ASCII or an address, without a port; returns lower case, IPv6 short and in brackets."""
    if value.startswith("[") and value.endswith("]"):
        refuse_if("%" in value, "holds an IPv6 zone, which means nothing on another machine")
        try:
            return f"[{IPv6Address(value[1:-1])}]"
        except ValueError:
            refuse("holds brackets without an IPv6 address")
    value = value.lower()
    if not _NAME.fullmatch(value) or len(value) > _LONGEST_NAME:
        refuse("is not a host name in ASCII (write other scripts as xn--…), or has a port")
    return value.removesuffix(".")


def secret_key(value: str) -> str:
    """Accept a key of at least 256 bits that was drawn at random, as far as one can see."""
    if any(character.isspace() or character == "," or not character.isprintable() for character in value):
        refuse("holds a space, a comma or a control character")
    refuse_if(len(value.encode()) < MIN_KEY_BYTES, f"is shorter than {MIN_KEY_BYTES} bytes")
    letters = _letters(value)
    refuse_if(any(word in letters for word in PLACEHOLDERS), "is a placeholder")
    if len(set(value)) < MIN_DISTINCT_CHARACTERS or repeats(value) or _counts(value):
        refuse("is not random: it repeats itself or counts up")
    pairs = len(_FREQUENT_PAIRS.findall(letters))
    if _WORDS.fullmatch(value) or pairs / max(len(letters) - 1, 1) >= _SENTENCE_SHARE:
        refuse("is not random: it is made of words")
    return value


def is_known_password(password: str, *names: str | None) -> bool:
    """Return whether the password is a default, a placeholder, or one of the names around it: user, database, host."""
    letters = _letters(password)
    known = {part for name in names if name for part in (_letters(name), _letters(name.split(".")[0]))}
    return letters in KNOWN_PASSWORDS | known or any(word in letters for word in PLACEHOLDERS)


def _letters(value: str) -> str:
    return re.sub(r"[\W_]", "", value).casefold()


def repeats(text: str, longest: int | None = None) -> bool:
    """Return whether the text repeats a shorter one, of at most `longest` characters; the end may be cut."""
    return any(text.startswith(text[unit:]) for unit in range(1, len(text) // 2 + 1)[:longest])


def _counts(value: str) -> bool:
    """Return whether most characters follow from the one before, as in `abcdef` or `987654`."""
    steps = [ord(after) - ord(before) for before, after in pairwise(value)]
    return sum(abs(step) <= 1 for step in steps) > len(steps) / 2


def is_local(host: str | None) -> bool:
    """Return whether the host is this machine; no host, or the path of a folder, means a socket."""
    try:
        return not host or host == "localhost" or host.startswith("/") or ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(parts: SplitResult) -> str:
    """Return the host of a URL as it stands there: an IPv6 address in brackets; empty if there is none."""
    name = parts.hostname or ""
    return f"[{name}]" if ":" in name else name


def split_url(value: str) -> SplitResult:
    """Split a URL and check its port; `urlsplit` alone drops line breaks and checks the port late."""
    refuse_space(value)
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        refuse("is not a URL")
    return parts


def option_named(name: str) -> str:
    """Return the name of an option for a message, if it looks like one: other text may be a piece of a password."""
    return f" {name}" if _OPTION.fullmatch(name) else ""


def refuse_space(value: str) -> None:
    """Refuse white space and control characters, which URLs do not have."""
    is_spaced = any(character.isspace() or not character.isprintable() for character in value)
    refuse_if(is_spaced, "holds a space or a control character")


def refuse_if(is_wrong: object, message: str) -> None:
    """Refuse a value if something is wrong with it."""
    if is_wrong:
        refuse(message)


def refuse(message: str) -> NoReturn:
    """Say what is wrong with a value, without the value."""
    raise ValueError(message)
