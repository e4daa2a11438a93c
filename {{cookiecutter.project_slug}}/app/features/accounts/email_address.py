"""E-mail addresses: which are accepted, and which spellings mean one mailbox."""

import unicodedata
from typing import Annotated, NamedTuple

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

LONGEST_ADDRESS = 254

# The alphabets that hold letters of the same shape, by the first word of their characters' names.
_LOOK_ALIKE = frozenset({"ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK", "LATIN"})


class EmailAddress(NamedTuple):
    """An address as it is written to, and the key under which an account has it."""

    address: str
    mailbox: str


def parse_email_address(text: str) -> EmailAddress:
    """Parse an address (RFC 5321, internationalised by RFC 6531); raises `ValueError` without repeating it.

    The mailbox is the local part in Unicode's compatibility form, case-folded and without a `+tag` (RFC 5233), at the
    domain in its ASCII form: look-alike spellings are one account, and one mailbox cannot be flooded under many tags.
    It is compared, never written to. A part that mixes alphabets whose letters look alike is refused. Whether mail
    arrives is not judged.
    """
    try:
        parsed = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        message = "is not an e-mail address"
        raise ValueError(message) from None
    if any(_mixes_alphabets(part) for part in (parsed.local_part, *parsed.domain.split("."))):
        message = "mixes letters of alphabets that look alike"
        raise ValueError(message)
    local_part = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", parsed.local_part).casefold())
    base, _, _ = local_part.partition("+")
    return EmailAddress(parsed.normalized, f"{base or local_part}@{parsed.ascii_domain}")


def _mixes_alphabets(part: str) -> bool:
    """Whether a reader could take a letter for that of another alphabet (Unicode TR 39 section 5.2)."""
    names = (unicodedata.name(character, "") for character in part if character.isalpha())
    return len(_LOOK_ALIKE.intersection(name.partition(" ")[0] for name in names)) > 1


def _check(text: str) -> str:
    parse_email_address(text)
    return text


EmailText = Annotated[str, Field(min_length=3, max_length=LONGEST_ADDRESS), AfterValidator(_check)]
"""An e-mail address in a body."""
