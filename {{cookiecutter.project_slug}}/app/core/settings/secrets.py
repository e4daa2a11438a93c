"""Keys and passwords that can be guessed: placeholders, defaults, names, sentences (ASVS 11.2.3, 13.2.3)."""

import re
from itertools import pairwise

from app.core.settings.rules import refuse, refuse_if

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


def secret_key(value: str) -> str:
    """Accept a key of at least 256 bits that was drawn at random, as far as one can see."""
    if any(character.isspace() or character == "," or not character.isprintable() for character in value):
        refuse("holds a space, a comma or a control character")
    refuse_if(len(value.encode()) < MIN_KEY_BYTES, f"is shorter than {MIN_KEY_BYTES} bytes")
    letters = _letters(value)
    refuse_if(any(word in letters for word in PLACEHOLDERS), "is a placeholder")
    if len(set(value)) < MIN_DISTINCT_CHARACTERS or _repeats(value) or _counts(value):
        refuse("is not random: it repeats itself or counts up")
    pairs = len(_FREQUENT_PAIRS.findall(letters))
    if _WORDS.fullmatch(value) or pairs / max(len(letters) - 1, 1) >= _SENTENCE_SHARE:
        refuse("is not random: it is made of words")
    return value


def is_known_password(password: str, *names: str | None) -> bool:
    """Whether the password is a default, a placeholder, or one of the names around it: user, database, host."""
    letters = _letters(password)
    known = {part for name in names if name for part in (_letters(name), _letters(name.split(".")[0]))}
    return letters in KNOWN_PASSWORDS | known or any(word in letters for word in PLACEHOLDERS)


def _letters(value: str) -> str:
    """Return the value without case and punctuation."""
    return re.sub(r"[\W_]", "", value).casefold()


def _repeats(value: str) -> bool:
    """Whether the text is a shorter one written at least twice in a row."""
    return any(value[period:] == value[:-period] for period in range(1, len(value) // 2 + 1))


def _counts(value: str) -> bool:
    """Whether most characters follow from the one before, as in `abcdef` or `987654`."""
    steps = [ord(after) - ord(before) for before, after in pairwise(value)]
    return sum(abs(step) <= 1 for step in steps) > len(steps) / 2
