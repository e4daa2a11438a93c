"""E-mail addresses: which spellings are one mailbox, and which are none."""

import pytest

from app.core.email_address import parse_email_address
from tests.support.service import Service

SAME = [
    ("ada@people.example", "ADA@PEOPLE.EXAMPLE"),
    ("ada@people.example", "\uff41\uff44\uff41@people.example"),
    ("ada@people.example", "ada@\uff50eople.example"),
    ("ada+news@people.example", "ADA\uff0bnews@people.example"),
    ("ada@b\u00fccher.example", "ada@xn--bcher-kva.example"),
    ("ada@b\u00fccher.example", "ada@BU\u0308CHER.example"),
    ("zo\u00eb@people.example", "zoe\u0308@people.example"),
    ("stra\u00dfe@people.example", "STRA\u1e9eE@people.example"),
    ("\u03bd\u03cc\u03bc\u03bf\u03c2@people.example", "\u039d\u038c\u039c\u039f\u03a3@people.example"),
    ("file@people.example", "\ufb01le@people.example"),
]
OTHERS = [
    ("ada@people.example", "bob@people.example"),
    ("ada@people.example", "ada@people.test.example"),
    ("ada@people.example", "a.da@people.example"),
    ("ada@people.example", "ada+newsletter@people.example"),
    ("ada+one@people.example", "ada+two@people.example"),
    ("stra\u00dfe@people.example", "strasse@people.example"),
    ("ada@stra\u00dfe.example", "ada@strasse.example"),
]
LOOK_ALIKES = [
    "\u0430da@people.example",  # Cyrillic a
    "ad\u03b1@people.example",  # Greek alpha
    "ada@p\u0435ople.example",  # Cyrillic e
    "\u0561da@people.example",  # Armenian ayb
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=ascii)
def test_one_mailbox_has_many_spellings(one: str, other: str) -> None:
    """Case, width, composition, ligatures, and a domain in ASCII or not."""
    assert parse_email_address(one).mailbox == parse_email_address(other).mailbox


@pytest.mark.parametrize(("one", "other"), OTHERS, ids=ascii)
def test_other_mailboxes_are_others(one: str, other: str) -> None:
    """Dots and tags count, and so do letters that only some providers take for the same."""
    assert parse_email_address(one).mailbox != parse_email_address(other).mailbox


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("\ufb01rst@people.example", "first@people.example"),
        ("\uff21da\uff0bnews@people.example", "Ada+news@people.example"),
        ("ada@\uff50eople.example", "ada@people.example"),
    ],
    ids=ascii,
)
def test_mail_goes_to_the_canonical_spelling(typed: str, address: str) -> None:
    """Not to a mailbox that only looks like it."""
    assert parse_email_address(typed).address == address


@pytest.mark.parametrize(
    "text", ["\ufdfa" * 30 + "@people.example", "a\u3000b@people.example", "a\ufe6bb@c@people.example"]
)
def test_what_is_no_address_in_its_canonical_spelling_is_none(text: str) -> None:
    """Letters that expand, also beyond what a column holds."""
    with pytest.raises(ValueError, match="not an e-mail address"):
        parse_email_address(text)


@pytest.mark.parametrize("address", LOOK_ALIKES, ids=ascii)
def test_a_mix_of_alphabets_that_look_alike_is_refused(address: str) -> None:
    """Without repeating it."""
    with pytest.raises(ValueError, match="look alike") as caught:
        parse_email_address(address)
    assert address not in str(caught.value)


def test_addresses_of_one_alphabet_are_taken() -> None:
    """Whichever it is: the world writes in many, and mixes those that nobody mistakes."""
    for address in ("\u0430\u0434\u0430@\u043b\u044e\u0434\u0438.example", "\u540d\u524dada@people.example"):
        assert parse_email_address(address).address == address


@pytest.mark.anyio
@pytest.mark.parametrize(("one", "other"), SAME, ids=ascii)
async def test_one_mailbox_is_one_account(service: Service, one: str, other: str) -> None:
    """Who registers another spelling makes no second account, and signs in to the first one."""
    person = await service.person(email=one)
    body = {"email": other, "password": "a password of somebody else"}
    assert (await service.client.post("/api/v1/accounts", json=body)).status_code == 202
    assert (await service.try_sign_in(other, body["password"])).status_code == 401
    assert (await service.try_sign_in(other, person.password)).status_code == 200
