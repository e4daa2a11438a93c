"""The texts of error pages, and when to try again."""

from http import HTTPStatus
from typing import NamedTuple

from app.core.errors import Problem

_UNITS = ((1, "second"), (60, "minute"), (3600, "hour"))


class ErrorText(NamedTuple):
    """What an error page says, whatever its cause."""

    title: str
    text: str


_ERRORS = {
    400: ErrorText("This request does not work", "Something in it is not as it should be."),
    # The problem itself says why.
    403: ErrorText("You may not do this", ""),
    404: ErrorText("There is no such page", "It may have moved, or the address may have a mistake in it."),
    405: ErrorText("This cannot be done here", "The page is there, but it does not do what was asked of it."),
    409: ErrorText("It is not as it was", "Something has changed meanwhile. Go back, reload the page, and look again."),
    413: ErrorText("That is too much", "What was sent is larger than this service reads."),
    415: ErrorText("This cannot be read", "What was sent is in a form that this service does not take."),
    422: ErrorText("This does not fit", "Some of what was sent breaks a rule. Go back, and change it."),
    429: ErrorText("Too many tries", "There were more requests than this service answers in such a time."),
    500: ErrorText("Something went wrong here", "The fault is not yours. Try again; if that does not help, tell us."),
    503: ErrorText("We cannot answer now", "Something that this service needs does not respond. Please come back."),
}


def error_text(problem: Problem) -> ErrorText:
    """Return what to say before the problem's own detail."""
    return _ERRORS.get(problem.status) or ErrorText(problem.title, "")


def own_words(problem: Problem) -> str | None:
    """Return the detail, or None if it only names the status, or is that of a crash."""
    phrase = f"{HTTPStatus(problem.status).phrase}."
    detail = _without_later(problem)
    silent = problem.status == HTTPStatus.INTERNAL_SERVER_ERROR or detail.lower() == phrase.lower()
    return None if silent else detail


def words_with_time(problem: Problem) -> str:
    """Return the detail, and when to try again."""
    again = again_in(problem.headers.get("Retry-After"))
    return problem.detail if again is None else f"{_without_later(problem)} {again}"


def again_in(seconds: str | None) -> str | None:
    """Say when to try again; `seconds` is the value of `Retry-After`."""
    if seconds is None:
        return None
    size, unit = next((each for each in reversed(_UNITS) if int(seconds) >= each[0]), _UNITS[0])
    number = -(-int(seconds) // size)
    return f"Try again in {number} {unit if number == 1 else f'{unit}s'}."


def _without_later(problem: Problem) -> str:
    """Return the detail without what `again_in` says better."""
    return problem.detail.removesuffix(" Try again later.") if "Retry-After" in problem.headers else problem.detail
