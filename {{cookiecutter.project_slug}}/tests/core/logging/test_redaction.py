"""Values become bounded plain data without secrets, on one line."""

import json
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import ip_address
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from app.core.logging.redaction import (
    DEEPEST,
    LONGEST_LINE,
    LONGEST_TEXT,
    MOST_ITEMS,
    escape,
    is_sensitive,
    redact_fields,
    redact_text,
)
from app.core.logging.secret_shapes import MASK

CANARY = "c4naryValue"
LINE_BREAKERS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
INVISIBLE = "\x00\x07\x08\x1b\x7f\x9b\u061c\u200b\u200e\u200f\u202a\u202e\u2066\u2069\ufeff\U000e0041\ud800\udfff"


def redact(value: object) -> Any:
    """The value, as the only field of a line."""
    return redact_fields({"value": value})["value"]


SENSITIVE_KEYS = (
    "password", "Password", "current_password", "newPassword", "passwd", "PASSWORD_HASH", "passphrase", "db_pass",
    "pwd", "secret", "secret_key", "SECRET_KEY_FALLBACKS", "clientSecret", "token", "access_token", "refreshToken",
    "token_hash", "authorization", "Authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "set_cookie",
    "cookies", "api_key", "apiKey", "X-API-Key", "x.api.key", "private_key", "privateKey", "credentials", "otp",
    "totp_code", "pin", "jwt", "csrf", "client_assertion", "code_verifier", "recovery_codes", "user[password]",
)  # fmt: skip
HARMLESS_KEYS = (
    "user_id", "session_id", "request_id", "client", "route", "status", "duration", "reason", "method", "key", "path",
    "spinning", "passage_id", "bypass_rule", "notprocessed", "author", "before", "after", "scope", "",
)  # fmt: skip


@pytest.mark.asvs("14.2.4", "16.2.5")
@pytest.mark.parametrize("key", SENSITIVE_KEYS)
def test_hides_by_key(key: str) -> None:
    """Whatever stands under such a key is hidden, as a field, deeper, and as a pair of name and value."""
    assert is_sensitive(key)
    for value in (CANARY, 1234, [CANARY], {"a": CANARY}, CANARY.encode()):
        shown = json.dumps(redact_fields({key: value, "deeper": [{key: value}], "pairs": [(key, value)]}))
        assert CANARY not in shown
        assert "1234" not in shown
        assert shown.count(MASK) == 3


@pytest.mark.asvs("14.2.4", "16.2.5")
@pytest.mark.parametrize(
    "value",
    [
        ("password", CANARY, 1),
        ("user", "ada", "password", CANARY),
        [("set", "session_key", CANARY)],
        ["recovery_code", CANARY],
        ["manage", "create-admin", "--password", CANARY, "--email", "x"],
        (b"password", CANARY),
        ("api key", CANARY),
        {"name": "password", "value": CANARY},
        [{"key": "client_secret", "value": [CANARY]}],
        {"type": "missing", "loc": ("body", "password"), "input": CANARY},
        [[["a", ["b", ("password", [[CANARY]])]]]],
        [("name", "password"), ("value", CANARY)],
        {"fields": [["key", "api_key"], ["value", [CANARY]]]},
        "('password','c4naryValue')",
        "<password>c4naryValue</password>",
    ],
    ids=str,
)
def test_hides_what_follows_a_name(value: object) -> None:
    """A name before its value is found in tuples and lists of any length, and in objects that say name and value."""
    assert CANARY not in json.dumps(redact_fields({"field": value}))
    assert CANARY not in redact_text(str(value))


def test_keeps_lists_without_names() -> None:
    """What only looks a little like the name of a secret hides nothing, and None and truth values never are hidden."""
    scopes = ["secrets:read", "secrets:write", "users:read"]
    assert redact(scopes) == scopes
    assert redact(("password", None, "token", True)) == ["password", None, "token", True]
    assert redact({"name": "user_id", "value": 7}) == {"name": "user_id", "value": 7}


@pytest.mark.parametrize("key", HARMLESS_KEYS)
def test_keeps_by_key(key: str) -> None:
    """Other keys show what they hold."""
    assert not is_sensitive(key)
    assert redact({key: "value"}) == {key: "value"}


def test_a_sensitive_key_still_tells_whether_there_is_a_value() -> None:
    """None and truth values are no secrets."""
    assert redact({"password": None, "has_token": True}) == {"password": None, "has_token": True}


@pytest.mark.asvs("16.2.5")
def test_a_secret_as_a_key_is_hidden() -> None:
    """A key is text too."""
    shown = redact({f"rt_{'A' * 43}": 1, f"Bearer {CANARY}": 2, f"{CANARY}@example.com": 3})
    assert CANARY not in str(shown)
    assert "AAAA" not in str(shown)


class _Model(BaseModel):
    name: str


class _Discreet(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "discreet"


class _Row(NamedTuple):
    email: str
    password: str


class _Colour(Enum):
    RED = object()


class _Name(StrEnum):
    VALUE = "value"


class _Number(IntEnum):
    ONE = 1


class _Talkative:
    def __repr__(self) -> str:
        return CANARY


class _Hostile:
    """An object all of whose methods raise."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(CANARY)

    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    __repr__ = __hash__ = __str__  # type: ignore[assignment]


class _BrokenMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise RuntimeError(CANARY)

    def __iter__(self) -> Iterator[str]:
        yield "a"

    def __len__(self) -> int:
        return 1


class _UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


# Made when they are used: some of them cannot even be looked at.
INDISCREET: dict[str, Callable[[], object]] = {
    "SecretStr": lambda: SecretStr(CANARY),
    "SecretBytes": lambda: SecretBytes(CANARY.encode()),
    "bytes": CANARY.encode,
    "bytearray": lambda: bytearray(CANARY.encode()),
    "memoryview": lambda: memoryview(CANARY.encode()),
    "model": lambda: _Model(name=CANARY),
    "talkative object": _Talkative,
    "hostile object": _Hostile,
    "str that hides itself": lambda: _Discreet(CANARY),
    "broken mapping": _BrokenMapping,
    "exception without a text": lambda: _UnreadableError(CANARY),
    "exception with a secret": lambda: ValueError(f"password={CANARY}"),
    "generator": lambda: (CANARY for _ in range(3)),
    "named tuple": lambda: _Row("x", CANARY),
    "header": lambda: [b"authorization", CANARY.encode()],
}


@pytest.mark.asvs("14.2.4", "16.2.5")
@pytest.mark.parametrize("make", INDISCREET.values(), ids=INDISCREET)
def test_hides_by_type(make: Callable[[], object]) -> None:
    """Secrets, bytes and objects that nobody knows to be harmless do not show what they hold, nor do they raise."""
    shown = redact_fields({"before": 1, "a": make(), "b": {"c": [make()]}, "after": 2})
    assert CANARY not in orjson.dumps(shown).decode()
    assert shown["before"] == 1
    assert shown["after"] == 2


def test_shows_what_is_plain() -> None:
    """Values of the usual types are readable."""
    identity = UUID(int=1)
    fields = {
        "id": identity,
        "time": datetime(2026, 11, 24, tzinfo=UTC),
        "day": date(2026, 11, 24),
        "for": timedelta(minutes=1),
        "sum": Decimal("1.50"),
        "client": ip_address("2001:db8::1"),
        "file": PurePosixPath("a/b"),
        "name": _Name.VALUE,
        "number": _Number.ONE,
        "colour": _Colour.RED,
        "type": ValueError,
        "function": redact_fields,
        "list": (1, 2.5, None, True),
        "mapping": MappingProxyType(OrderedDict(a=1)),
    }
    assert redact_fields(fields) == {
        "id": str(identity),
        "time": "2026-11-24 00:00:00+00:00",
        "day": "2026-11-24",
        "for": "0:01:00",
        "sum": "1.50",
        "client": "2001:db8::1",
        "file": "a/b",
        "name": "value",
        "number": 1,
        "colour": "RED",
        "type": "<builtins.ValueError>",
        "function": "<app.core.logging.redaction.redact_fields>",
        "list": [1, 2.5, None, True],
        "mapping": {"a": 1},
    }


def test_numbers_that_json_cannot_hold() -> None:
    """They are shown as text."""
    assert redact([float("nan"), float("-inf"), 2**64, -(2**63)]) == ["nan", "-inf", "<integer of 65 bits>", -(2**63)]
    assert redact(10 ** (sys.get_int_max_str_digits() + 1)).startswith("<integer of ")


@pytest.mark.asvs("16.4.1")
@pytest.mark.parametrize("character", LINE_BREAKERS + INVISIBLE, ids=lambda character: f"U+{ord(character):04X}")
def test_escapes(character: str) -> None:
    """What breaks a line, moves a cursor, hides or reorders text is written out, in values and in keys."""
    assert escape(f"a{character}b").isascii()
    for shown in (redact_text(f"a{character}b"), *redact({f"a{character}b": f"a{character}b"}).popitem()):
        assert shown.isprintable()
        assert shown.startswith("a\\")
        assert shown.endswith("b")


@pytest.mark.asvs("1.3.10")
def test_text_is_never_a_format() -> None:
    """Placeholders of every kind stay what they are."""
    text = "%s%n{0.__class__}{}$HOME${x}"
    assert redact({"user": text, text: 1}) == {"user": text, text: 1}


def test_readable_text_stays_as_it_is() -> None:
    """Letters of every script and emoji are no control characters."""
    assert redact_text("Zoë 東京 مرحبا 🎉") == "Zoë 東京 مرحبا 🎉"


def test_long_text_is_cut() -> None:
    """The cut says how long the text was."""
    assert redact_text("x" * 5_000_000) == "x" * LONGEST_TEXT + "…[of 5000000]"
    assert redact_text("x" * LONGEST_TEXT) == "x" * LONGEST_TEXT
    assert redact_text("\x00" * LONGEST_TEXT) == ("\\x00" * LONGEST_TEXT)[:LONGEST_TEXT] + f"…[of {LONGEST_TEXT}]"


@pytest.mark.asvs("16.2.5")
def test_a_cut_leaves_no_half_of_a_secret() -> None:
    """A secret across the cut is recognised before the text is cut."""
    for shift in range(-30, 1):
        text = "x" * (LONGEST_TEXT + shift - 14) + f" postgresql://app:{CANARY}{CANARY}@db/app"
        assert CANARY[:4] not in redact_text(text)


def test_collections_are_bounded() -> None:
    """In breadth, in depth, and all together: no value makes a line of more than a few times the budget."""
    wide = redact({str(number): number for number in range(1000)})
    assert len(wide) == MOST_ITEMS + 1
    assert wide["…"] == "1000 items"
    assert redact(list(range(1000))) == [*range(MOST_ITEMS), "…"]
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    assert json.dumps(redact(deep)).count("[") == DEEPEST
    everything: Any = "x" * 10_000
    for _ in range(4):
        everything = dict.fromkeys(map(str, range(100)), everything)
    assert len(json.dumps(redact_fields({"everything": everything}))) < 4 * LONGEST_LINE


def test_cycles_end() -> None:
    """A list that holds itself, and a mapping that does."""
    cycle: list[Any] = []
    cycle.append({"cycle": cycle, "again": [cycle]})
    assert len(json.dumps(redact(cycle))) < LONGEST_LINE


def test_the_cost_of_a_line_is_bounded() -> None:
    """Thousands of long texts, each of which shrinks to a mask, cost no more than a few dozen of them."""
    text = f'password="{"x y " * 1000}"'
    start = time.process_time()
    redact_text(text)
    one = time.process_time() - start
    start = time.process_time()
    redact_fields({"texts": [[text] * MOST_ITEMS] * MOST_ITEMS})
    assert time.process_time() - start < max(50 * one, 0.05)
