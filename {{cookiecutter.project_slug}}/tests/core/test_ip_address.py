"""`app/core/settings/rules.py`: addresses as proxies and people write them."""

import pytest

from app.core.settings.rules import parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.8", "203.0.113.8"),
        ("203.0.113.8:51744", "203.0.113.8"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[::ffff:203.0.113.8]:443", "203.0.113.8"),
    ],
)
def test_the_port_and_the_brackets_are_no_part_of_an_address(text: str, address: str) -> None:
    """Both ways of writing are one address; IPv4 inside IPv6 is IPv4."""
    assert str(parse_address(text)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name:80",
        "[name]:80",
        "[203.0.113.8]",
        "203.0.113.8:",
        "203.0.113.8:\u0661",
        "fe80::1%a",
        "[fe80::1%a]:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Names, zones and halves of a port are none."""
    with pytest.raises(ValueError, match="address"):
        parse_address(text)
