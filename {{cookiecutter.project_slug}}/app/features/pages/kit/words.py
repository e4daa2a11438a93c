"""Texts of others, times, events and problems as pages show them: bounded, without characters that reorder text."""

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from markupsafe import Markup

from app.core.clock import utc_now
from app.core.errors import Problem
from app.core.logging.redaction import escape

LONGEST_SHOWN = 120

# In this order: each browser also names those below it.
_BROWSERS = (
    (re.compile(r"\bEdg(?:A|iOS)?/"), "Edge"),
    (re.compile(r"\b(?:OPR|OPT|Opera)/"), "Opera"),
    (re.compile(r"\b(?:Firefox|FxiOS)/"), "Firefox"),
    (re.compile(r"\bSamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"\b(?:Headless)?(?:Chrome|CriOS|Chromium)/"), "Chrome"),
    (re.compile(r"\bVersion/[\d.]+ (?:Mobile/\w+ )?Safari/"), "Safari"),
    (re.compile(r"^curl/"), "curl"),
)
_SYSTEMS = (
    (re.compile(r"\b(?:iPhone|iPad)\b"), "iOS"),
    (re.compile(r"\bAndroid\b"), "Android"),
    (re.compile(r"\bCrOS\b"), "ChromeOS"),
    (re.compile(r"\bWindows NT\b"), "Windows"),
    (re.compile(r"\bMacintosh\b"), "macOS"),
    (re.compile(r"\bLinux\b"), "Linux"),
)
_LONGEST_DEVICE = 40
_WEEK = timedelta(days=7)
_UNITS = ((1, "second"), (60, "minute"), (3600, "hour"))
_AGES = {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}


def short(text: object, longest: int = LONGEST_SHOWN) -> str:
    """Shorten the text; a line break becomes a space, and any other character that is not printable its escape."""
    shown = escape(" ".join(str(text)[: longest + 1].splitlines()))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def device(user_agent: str) -> str:
    """Name browser and system; for an unknown one, return the start of what it calls itself."""
    browser, system = _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)
    if browser is None:
        return short(user_agent, _LONGEST_DEVICE) or "Unknown"
    return f"{browser} on {system}" if system else browser


def _first(known: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str | None:
    return next((name for pattern, name in known if pattern.search(text)), None)


def event_words(action: str) -> str:
    """Write the name of a security event in words."""
    return short(action.replace("signin", "sign-in").replace("_", " ")).capitalize().replace("Api ", "API ")


def when(time: datetime | None) -> Markup:
    """Write a time for people and programs: how long ago it was within a week, and the exact time as the title."""
    if time is None:
        return Markup("never")
    utc = time.astimezone(UTC)
    exact, age = utc.strftime("%Y-%m-%d %H:%M:%S UTC"), utc_now() - utc
    words = f"{utc:%Y-%m-%d}"
    if timedelta() <= age < _WEEK:
        ages = ((age // length, unit) for unit, length in _AGES.items())
        words = next((f"{number} {unit}{'s' * (number > 1)} ago" for number, unit in ages if number), "just now")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(utc.isoformat(timespec="seconds"), exact, words)


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
