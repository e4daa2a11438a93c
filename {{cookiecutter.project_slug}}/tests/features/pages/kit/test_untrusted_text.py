"""Texts of others as pages show them."""

import pytest

from app.features.pages.kit.words import device, short

WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605"
ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
)


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (WINDOWS, "Chrome on Windows"),
        (f"{WINDOWS} Edg/140.0.0.0", "Edge on Windows"),
        (f"{WINDOWS} OPR/120.0.0.0", "Opera on Windows"),
        (ANDROID, "Chrome on Android"),
        (ANDROID.replace("Chrome/", "SamsungBrowser/28.0 Chrome/"), "Samsung Internet on Android"),
        (MAC, "Safari on macOS"),
        (f"{IPHONE} Version/18.6 Mobile/15E148 Safari/604.1", "Safari on iOS"),
        (f"{IPHONE} CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome on iOS"),
        (f"{IPHONE} FxiOS/140.0 Mobile/15E148 Safari/604.1", "Firefox on iOS"),
        ("Mozilla/5.0 (X11; CrOS x86_64 1.0) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36", "Chrome on ChromeOS"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("curl/8.5.0", "curl"),
        ("python-httpx2/2.16", "python-httpx2/2.16"),
        ("", "Unknown"),
        ("x" * 300, "x" * 39 + "…"),
        ("evil\r\n\u202eagent", "evil \\u202eagent"),
    ],
)
def test_names_browser_and_system(user_agent: str, words: str) -> None:
    """In words for what people use; the begin of the text for anything else."""
    assert device(user_agent) == words


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_a_line_break_is_a_space(end: str) -> None:
    """A name or a value of several lines is read on one, without escapes between its words."""
    assert short(f"first{end}second{end}") == "first second"


def test_a_text_is_bounded_and_printable() -> None:
    """Its escapes count, too: nothing that is shown is longer than it may be."""
    assert short("name", 10) == "name"
    assert short("x" * 10, 10) == "x" * 10
    assert short("x" * 11, 10) == "x" * 9 + "…"
    assert len(short("\u202e" * 10_000, 10)) == 10
    assert short(None) == "None"
