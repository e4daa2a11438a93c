"""Times, events and problems as pages say them."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from app.core.errors import Forbidden, NotFound, Problem
from app.features.pages.kit.words import again_in, event_words, own_words, when

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=59, seconds=59), "59 minutes ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
        (timedelta(hours=24), "1 day ago"),
        (timedelta(days=6, hours=23), "6 days ago"),
        (timedelta(days=7), "2026-03-02"),
        (-timedelta(seconds=1), "2026-03-09"),
    ],
)
def test_a_time_is_told_from_now(age: timedelta, words: str) -> None:
    """Within a week how long ago; before it, and in the future, the day; the exact time in UTC is the title."""
    with time_machine.travel(NOW, tick=False):
        shown = when(NOW - age)
    exact = f"{NOW - age:%Y-%m-%d %H:%M:%S} UTC"
    assert shown == f'<time datetime="{(NOW - age).isoformat(timespec="seconds")}" title="{exact}">{words}</time>'


def test_what_never_was_is_never() -> None:
    """No time is a word too."""
    assert when(None) == "never"


@pytest.mark.parametrize(
    ("action", "words"), [("signin_failed", "Sign-in failed"), ("token_reused", "Token reused"), ("<b>", "<b>")]
)
def test_an_event_is_told_in_words(action: str, words: str) -> None:
    """Its name without underscores; a template escapes it."""
    assert event_words(action) == words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, None),
        ("1", "Try again in 1 second."),
        ("59", "Try again in 59 seconds."),
        ("60", "Try again in 1 minute."),
        ("61", "Try again in 2 minutes."),
        ("3599", "Try again in 60 minutes."),
        ("3600", "Try again in 1 hour."),
        ("3601", "Try again in 2 hours."),
    ],
)
def test_waiting_is_said_in_the_unit_that_fits(seconds: str | None, said: str | None) -> None:
    """Never less than there is to wait."""
    assert again_in(seconds) == said


def test_the_name_of_a_status_is_no_explanation() -> None:
    """What a problem says is shown where it says more than its status does, and never for a crash."""
    assert own_words(NotFound("Not Found.")) is None
    assert own_words(Forbidden("Nobody can register here.")) == "Nobody can register here."
    assert own_words(Problem("The service failed.")) is None
