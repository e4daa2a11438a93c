"""`app/features/pages/kit/messages.py`: what error pages say."""

import pytest

from app.core.errors import Forbidden, NotFound, Problem
from app.features.pages.kit.messages import again_in, error_text, own_words


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


def test_every_status_has_a_title() -> None:
    """One that nobody has written a text for has its own name."""
    teapot = Problem("I'm a teapot.")
    teapot.status, teapot.title = 418, "I'm a Teapot"
    assert error_text(teapot) == ("I'm a Teapot", "")
    assert error_text(NotFound("")).title == "There is no such page"
