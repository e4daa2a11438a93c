"""E-mail addresses: which are accepted, and which spellings mean one mailbox."""

import unicodedata
from typing import Annotated, NamedTuple

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

LONGEST_ADDRESS = 254


class EmailAddress(NamedTuple):
    """An address as it is written to, and the key under which an account has it."""

    address: str
    mailbox: str


def parse_email_address(text: str) -> EmailAddress:
    """Parse an address (RFC 5321, internationalised by RFC 6531); raises `ValueError` without repeating it.

    The mailbox is the local part in Unicode's compatibility form, case-folded, at the domain in its ASCII form:
    look-alike spellings are one account. Whether mail arrives there is not judged.
    """
    try:
        parsed = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        message = "is not an e-mail address"
        raise ValueError(message) from None
    local_part = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", parsed.local_part).casefold())
    return EmailAddress(parsed.normalized, f"{local_part}@{parsed.ascii_domain}")


def _check(text: str) -> str:
    parse_email_address(text)
    return text


EmailText = Annotated[str, Field(min_length=3, max_length=LONGEST_ADDRESS), AfterValidator(_check)]
"""An e-mail address in a body."""
