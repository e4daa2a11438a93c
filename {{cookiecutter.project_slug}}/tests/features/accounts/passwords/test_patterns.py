"""Repetitions, counts and walks."""

import pytest

from app.features.accounts.passwords.policy import essence, is_count, is_repetition


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("aaaaaaaaaaaaaaa", "a"),
        ("abababababababab", "ab"),
        ("abcdefghijklmnop", ""),
        ("ponmlkjihgfedcba", ""),
        ("qwertyuiopasdfgh", ""),
        ("1qaz2wsx3edc4rfv", ""),
        ("112233445566778899", ""),
        ("abcd1234dcba4321", ""),
        ("!@#$%^&*()_+", ""),
        ("xyz", "xyz"),
        ("horse", "horse"),
        ("desks of wooden edesk", "desks of woden edesk"),
        ("abcde-abc-dcba", "-abc-"),
        ("passwordpassword", "pasword"),
        ("coffee with seven geese", "cofe with seven gese"),
        ("", ""),
    ],
)
def test_what_is_left_of_a_text(text: str, left: str) -> None:
    """Repeated characters and units once, and no walk of four steps or more."""
    assert essence(text).replace(" ", "") == left.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("kjhg76%%kjhg76%%", True),
        ("kjhg76%%kjhg76%%kj", True),
        ("correcthorsescorrecthorses", True),
        ("password1password2", True),
        ("fourteen chars" * 2, True),
        ("fifteen-characters " * 2, False),
        ("a fifteen characters unit " * 2, False),
        ("otto sees many otto", False),
        ("83 91 haha 27 64 05", False),
    ],
)
def test_a_short_password_that_is_typed_twice_is_a_short_password(text: str, repeats: bool) -> None:  # noqa: FBT001
    """Also with digits between; a unit that would do on its own may be repeated."""
    assert is_repetition(text) is repeats


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("123456789101112", True),
        ("101112131415161", True),
        ("2 4 6 8 10 12 14", True),
        ("100 99 98 97 96", True),
        ("9876543210", True),
        ("1990199119921993", True),
        ("5,10,15,20,25,30", True),
        ("314159265358979", False),
        ("1a2b3c", False),
        ("\u0663\u0664\u0665", False),
        ("", False),
    ],
)
def test_numbers_in_equal_steps_are_a_count(text: str, counts: bool) -> None:  # noqa: FBT001
    """Up and down, with or without something between."""
    assert is_count(text) is counts
