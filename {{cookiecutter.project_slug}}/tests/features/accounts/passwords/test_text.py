"""The forms in which passwords are hashed and compared."""

import pytest

from app.features.accounts.passwords.text import (
    folded,
    normalized,
    read_as_letters,
    without_padding,
    without_words,
)


def test_one_form_for_every_keyboard() -> None:
    """Composed, decomposed and full-width spellings are the same; case stays."""
    assert normalized("u\u0308") == "ü"
    assert normalized("\uff21\uff42") == "Ab"


@pytest.mark.parametrize(("one", "other"), [("STRASSE", "straße"), ("\uff26Oo", "foo"), ("ΣΣ", "σς"), ("\u1e9e", "ss")])
def test_case_is_folded_in_every_script(one: str, other: str) -> None:
    """Not only in ASCII."""
    assert folded(one) == folded(other)


@pytest.mark.parametrize("spelling", ["p4$$w0rd", "pa55w0rd", "p@ssw0rd"])
def test_digits_and_signs_read_as_letters(spelling: str) -> None:
    """What people write for letters; the length stays."""
    assert read_as_letters(spelling) == "password"
    assert len(read_as_letters("l1!|0$ß€🙂")) == len("l1!|0$ß€🙂")


def test_padding_is_digits_signs_and_spaces_not_letters_and_pictures() -> None:
    """Of every script."""
    assert without_padding("1½٣ \u3000.-_!?+=$^`\n\0") == ""
    assert without_padding("a1ß-я字🙂é ") == "aßя字🙂é"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("adalovelace12", "12"),
        ("l0vel4ce-4da", "-"),
        ("xx lovelace yy ada", "xx  yy "),
        ("4d4", "4d4"),
        ("ada\0", ""),
        ("nothing of it", "nothing of it"),
        ("19850412!", "!"),
        ("985o4i2", "985o4i2"),
    ],
)
def test_crosses_words_out_however_they_are_spelled(text: str, left: str) -> None:
    """Longer ones first; what reads like a word only because it is digits stays, unless the word is digits."""
    assert without_words(text, ["ada", "lovelace", "19850412", "lace"]) == left
