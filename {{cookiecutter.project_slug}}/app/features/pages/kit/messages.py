"""What the pages say of their own accord: about errors, and about waiting."""

from http import HTTPStatus
from typing import NamedTuple

from app.core.errors import Problem

_MINUTE, _HOUR = 60, 3600


class ErrorText(NamedTuple):
    """What an error page says, whatever its cause."""

    title: str
    text: str


_ERRORS = {
    400: ErrorText("This request does not work", "Something in it is not as it should be."),
    # Why not, the problem says.
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
# Problems that say no more than their status: the framework's own, and that of a crash, which names the request too.
_SILENT = {500}


def error_text(problem: Problem) -> ErrorText:
    """What to say about a problem before its own words."""
    return _ERRORS.get(problem.status) or ErrorText(problem.title, "")


def own_words(problem: Problem) -> str | None:
    """What the problem itself says, where that is more than the name of its status."""
    phrase = f"{HTTPStatus(problem.status).phrase}."
    words = _without_later(problem)
    return None if problem.status in _SILENT or words.lower() == phrase.lower() else words


def words_with_time(problem: Problem) -> str:
    """What the problem itself says, and when to try again."""
    again = again_in(problem.headers.get("Retry-After"))
    return problem.detail if again is None else f"{_without_later(problem)} {again}"


def again_in(seconds: str | None) -> str | None:
    """When to try again, as people say it; `seconds` is what `Retry-After` holds."""
    if seconds is None:
        return None
    number = int(seconds)
    if number < _MINUTE:
        return f"Try again in {_count(number, 'second')}."
    if number < _HOUR:
        return f"Try again in {_count(-(-number // _MINUTE), 'minute')}."
    return f"Try again in {_count(-(-number // _HOUR), 'hour')}."


def _without_later(problem: Problem) -> str:
    """The detail without what `again_in` says better."""
    return problem.detail.removesuffix(" Try again later.") if "Retry-After" in problem.headers else problem.detail


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
