"""The programs that tests of pages need: a browser, and Node."""

import pytest

from tests.support.programs import PROGRAMS, Program

PROGRAMS |= {
    # Chrome first: Ubuntu lets only programs that it knows have a sandbox.
    "chromium_path": Program(
        "a browser",
        (
            "google-chrome",
            "chromium",
            "chromium-browser",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        ),
        "chromium",
    ),
    "node": Program("Node", ("node", "nodejs"), "nodejs"),
}


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where the browser is: for every test that starts one."""
    return PROGRAMS["chromium_path"].required_path()


@pytest.fixture(scope="session")
def node() -> str:
    """Where Node is."""
    return PROGRAMS["node"].required_path()
