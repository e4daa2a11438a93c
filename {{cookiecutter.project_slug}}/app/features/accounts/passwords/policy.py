"""Which passwords may be set (NIST SP 800-63B-4 section 3.1.1.2, ASVS 6.2): `docs/passwords.md` explains the policy."""

import re

from pydantic import SecretStr

from app.access.roles import Role
from app.core.errors import Unprocessable
from app.core.settings.model import Settings
from app.features.accounts.passwords.common_passwords import password_list
from app.features.accounts.passwords.hasher import LONGEST_PASSWORD, SHORTEST_PASSWORD, AcceptedPassword, PasswordHasher
from app.features.accounts.passwords.patterns import essence, is_count, is_repetition
from app.features.accounts.passwords.text import folded, normalized, without_padding, without_words

SHORTEST_NAME = 4
FEWEST_LEFT = 8
"""How many characters must be left when names, words and patterns are crossed out."""
MOST_PADDING = 8
"""How many digits and signs count for nothing beside a word: a date, a year, exclamation marks."""

_DIGITS = "0123456789"


class PasswordPolicy:
    """Judges new passwords. Only what it accepts is hashed."""

    def __init__(self, settings: Settings, hasher: PasswordHasher) -> None:
        self.hasher = hasher
        # The names of the service, its host, its operator and its roles (ASVS 6.2.11).
        host, operator = settings.public_url.split("/"), settings.admin_email.split("@")
        self._service_names = _names_in(settings.app_name, *host, *operator, *Role, "administrator")

    def check(
        self, password: SecretStr, *, email: str, display_name: str | None, field: str = "new_password"
    ) -> AcceptedPassword:
        """Accept a password, or raise `Unprocessable` for `field` of the request, which repeats no part of it."""
        typed = password.get_secret_value()
        user_names = _names_in(*email.split("@"), display_name or "")
        problem = _length_problem(typed) or self._problem(folded(typed), user_names)
        if problem is not None:
            detail = f"The password {problem}. Take several unrelated words, or let a password manager make one."
            raise Unprocessable(detail, errors=[{"location": ["body", field], "reason": detail}])
        return AcceptedPassword(SecretStr(normalized(typed)))

    async def hash(
        self, password: SecretStr, email: str, display_name: str | None, *, field: str = "new_password"
    ) -> str:
        """Hash a password that is being set; raises what `check` and `PasswordHasher.hash` raise."""
        return await self.hasher.hash(self.check(password, email=email, display_name=display_name, field=field))

    def _problem(self, text: str, user_names: frozenset[str]) -> str | None:
        """Return why a folded text of the right length is refused, if it is."""
        listed, names = password_list(), self._service_names | user_names
        if listed.has(text):
            return "is on the list of common and breached passwords"
        if is_repetition(text) or is_count(text) or len(essence(text)) < FEWEST_LEFT:
            return "is little more than a repetition, a count or a walk over the keyboard"
        if _is_made_of(text, self._service_names):
            return "is little more than a name of this service"
        if _is_made_of(text, names):
            return "is little more than your name or your address"
        if any(_is_made_of(text, names | {word}) for word in listed.words_in(text)):
            return "is little more than one common password"
        return None


def _length_problem(typed: str) -> str | None:
    """Judge the length of what was typed and of what is hashed, in code points."""
    lengths = (len(typed), len(normalized(typed)))
    if min(lengths) < SHORTEST_PASSWORD:
        return f"has fewer than {SHORTEST_PASSWORD} characters"
    if max(lengths) > LONGEST_PASSWORD:
        return f"has more than {LONGEST_PASSWORD} characters"
    return None


def _names_in(*texts: str) -> frozenset[str]:
    """Return the words of the texts, folded; also joined, and without digits around them."""
    names: set[str] = set()
    for text in texts:
        words = re.split(r"[\W_]+", folded(text))
        names.update(words, ["".join(words)], (word.strip(_DIGITS) for word in words))
    return frozenset(name for name in names if len(name) >= SHORTEST_NAME)


def _is_made_of(text: str, words: frozenset[str]) -> bool:
    """Return whether a folded text has some of the words, and too little without them, patterns, and padding."""
    rest = without_words(text, words)
    left = essence(rest)
    letters = len(without_padding(left))
    return rest != text and letters + max(0, len(left) - letters - MOST_PADDING) < FEWEST_LEFT
