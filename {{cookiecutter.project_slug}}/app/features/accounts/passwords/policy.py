"""Which passwords may be set (NIST SP 800-63B-4 section 3.1.1.2, ASVS 6.2): `docs/passwords.md` explains the policy."""

import re

from pydantic import SecretStr

from app.access.roles import Role
from app.core.errors import Unprocessable
from app.core.settings.model import Settings
from app.core.settings.rules import repeats
from app.features.accounts.passwords.common_passwords import password_list
from app.features.accounts.passwords.hasher import LONGEST_PASSWORD, SHORTEST_PASSWORD, AcceptedPassword, PasswordHasher
from app.features.accounts.passwords.text import folded, normalized, without_padding, without_words

SHORTEST_NAME = 4
FEWEST_LEFT = 8
"""How many characters must be left when names, words and patterns are crossed out."""
MOST_PADDING = 8
"""How many digits and signs count for nothing beside a word: a date, a year, exclamation marks."""

# What makes a password longer, but not harder to guess. Functions about it take folded text, and linear time.
_SHORTEST_WALK = 4
_WALKS = (
    "0123456789012",
    "abcdefghijklmnopqrstuvwxyz",
    # Rows: QWERTY, QWERTZ, AZERTY, and the signs above the digits.
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiopü",
    "yxcvbnm,.-",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "!@#$%^&*()_+",
    '!"£$%^&*()',
    '!"§$%&/()=?',
    # Columns, and zigzags between two rows.
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "qazwsxedcrfvtgbyhnujmik,ol.p;/",
    "q1w2e3r4t5y6u7i8o9p0",
    "1q2w3e4r5t6y7u8i9o0p",
    "qawsedrftgyhujikolp",
)
_STEPS_OF_WALKS = frozenset(
    walk[start : start + _SHORTEST_WALK]
    for line in _WALKS
    for walk in (line, line[::-1])
    for start in range(len(line) - _SHORTEST_WALK + 1)
)

_LONGEST_UNIT = 14
_SAME = re.compile(r"(.)\1+", re.DOTALL)
_REPEATED_UNIT = re.compile(rf"(.{{2,{_LONGEST_UNIT}}}?)\1+", re.DOTALL)

_LONGEST_NUMBER = 4
_STEPS = (1, -1, 2, -2, 5, 10)


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
        names.update(words, ["".join(words)], (word.strip("0123456789") for word in words))
    return frozenset(name for name in names if len(name) >= SHORTEST_NAME)


def _is_made_of(text: str, words: frozenset[str]) -> bool:
    """Return whether a folded text has some of the words, and too little without them, patterns, and padding."""
    rest = without_words(text, words)
    left = essence(rest)
    letters = len(without_padding(left))
    return rest != text and letters + max(0, len(left) - letters - MOST_PADDING) < FEWEST_LEFT


def essence(text: str) -> str:
    """Return what is left if repeated characters and units are kept once and walks are crossed out."""
    return _REPEATED_UNIT.sub(r"\1", _without_walks(_SAME.sub(r"\1", text)))


def is_repetition(text: str) -> bool:
    """Return whether the text, or its letters if they are most of it, repeats a unit of at most 14 characters."""
    core = without_padding(text)
    return repeats(text, _LONGEST_UNIT) or (len(core) * 2 > len(text) and repeats(core, _LONGEST_UNIT))


def is_count(text: str) -> bool:
    """Return whether the text is numbers in equal steps: `101112131415161`, `2 4 6 8 10 12 14`."""
    digits = "".join(character for character in text if character.isdecimal())
    if not digits.isascii() or without_padding(text):
        return False
    starts = (int(digits[:width]) for width in range(1, _LONGEST_NUMBER + 1) if digits)
    counts = ((start + step * number for number in range(len(digits))) for start in starts for step in _STEPS)
    return any("".join(map(str, count)).startswith(digits) for count in counts)


def _without_walks(text: str) -> str:
    starts = (start for start in range(len(text)) if text[start : start + _SHORTEST_WALK] in _STEPS_OF_WALKS)
    walked = {start + step for start in starts for step in range(_SHORTEST_WALK)}
    return "".join(character for place, character in enumerate(text) if place not in walked)
