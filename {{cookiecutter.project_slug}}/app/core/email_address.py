"""E-mail addresses: which are accepted, and which spellings name one mailbox."""

import unicodedata
from typing import Annotated, NamedTuple

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

LONGEST_ADDRESS = 254
ADDRESS_TAKEN = "There is an account with this e-mail address already."
LONGEST_MAILBOX = 508
"""As long as its column. Compatibility form and case folding write one character as up to 18."""

# The alphabets that hold letters of the same shape, by the first word of their characters' names.
_LOOK_ALIKE = frozenset({"ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK", "LATIN"})


class EmailAddress(NamedTuple):
    """An address as mail is sent to it, and the mailbox, which is unique among accounts."""

    address: str
    mailbox: str

    @property
    def inbox(self) -> str:
        """The mailbox without its `+tag` (RFC 5233): many providers deliver to it. Only for counting."""
        local_part, _, domain = self.mailbox.rpartition("@")
        return f"{local_part.partition('+')[0] or local_part}@{domain}"


def parse_email_address(text: str) -> EmailAddress:
    """Parse an address (RFC 5321, internationalised by RFC 6531); raises `ValueError` without repeating it.

    Mail goes to the text in Unicode's compatibility form (NFKC). The mailbox, which is only compared, is that in lower
    case at the domain in ASCII; what may be different mailboxes stays apart: `+tags`, dots, and `ß` and `ss`.
    """
    canonical = unicodedata.normalize("NFKC", text)
    try:
        parsed = validate_email(canonical, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise ValueError("is not an e-mail address") from None
    if any(_mixes_alphabets(part) for part in (parsed.local_part, *parsed.domain.split("."))):
        raise ValueError("mixes letters of alphabets that look alike")
    local_part = unicodedata.normalize("NFKC", parsed.local_part.lower())
    mailbox = f"{local_part}@{parsed.ascii_domain}"
    if len(mailbox) > LONGEST_MAILBOX or len(parsed.normalized) > LONGEST_ADDRESS:
        raise ValueError("is too long")
    return EmailAddress(parsed.normalized, mailbox)


def _mixes_alphabets(part: str) -> bool:
    """Return whether a letter could be taken for that of another alphabet (Unicode TR 39 section 5.2)."""
    names = (unicodedata.name(character, "") for character in part if character.isalpha())
    return len(_LOOK_ALIKE.intersection(name.partition(" ")[0] for name in names)) > 1


def _check(text: str) -> str:
    parse_email_address(text)
    return text


EmailText = Annotated[str, Field(min_length=3, max_length=LONGEST_ADDRESS), AfterValidator(_check)]
"""An e-mail address in a body."""
