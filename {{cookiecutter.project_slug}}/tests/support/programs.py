"""Programs that tests need and that are no Python packages.

A test that uses the fixture of that name needs the program. Where it is not found, such tests are left out, and the
summary says so in one line; with the environment variable `CI` set, they fail.
"""

import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

_LEFT_OUT = pytest.StashKey[dict[str, int]]()
_WORKER_KEY = "tests_left_out"


class Program(NamedTuple):
    """What it is called on the PATH, or where it is; and how Debian's users get it."""

    what: str
    names: tuple[str, ...]
    package: str

    @property
    def need(self) -> str:
        """What tests need that are left out, and how they would run."""
        commands = " or ".join(name for name in self.names if "/" not in name)
        return f"{self.what} as {commands} (Debian: apt-get install {self.package})"

    def path(self) -> str | None:
        """Where it is, if it is there."""
        return next((path for name in self.names if (path := shutil.which(name))), None)

    def required_path(self) -> str:
        """Where it is; a test that is here without it fails, for it was not left out."""
        path = self.path()
        if path is None:
            pytest.fail(f"CI is set, so the tests that need {self.what} must run, and there is none")
        return path


# By the fixture that a test uses; plugins add theirs.
PROGRAMS = {
    # The server that is installed as a Python package has no TLS. Debian has its programs in a folder for each version.
    "postgresql_programs": Program(
        "a PostgreSQL server with TLS",
        ("postgres", *(f"/usr/lib/postgresql/{version}/bin/postgres" for version in range(18, 13, -1))),
        "postgresql",
    ),
    # Debian installs it where only root's PATH reaches.
    "pgbouncer": Program("PgBouncer", ("pgbouncer", "/usr/sbin/pgbouncer"), "pgbouncer"),
    "nginx": Program("nginx", ("nginx", "/usr/sbin/nginx"), "nginx"),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a program that is not there."""
    if os.environ.get("CI"):
        return
    left_out: dict[str, int] = {}
    for fixture, program in PROGRAMS.items():
        if program.path() is None:
            needy = [item for item in items if fixture in getattr(item, "fixturenames", ())]
            config.hook.pytest_deselected(items=needy)
            items[:] = [item for item in items if item not in needy]
            left_out[program.need] = len(needy)
    config.stash[_LEFT_OUT] = left_out


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that has started this one, if one has."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_WORKER_KEY] = session.config.stash.get(_LEFT_OUT, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear it from a worker: each of them collects every test."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get(_WORKER_KEY, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what did not run, and how it would. It was a worker that knew what programs the tests of a folder need."""
    for need, count in config.stash.get(_LEFT_OUT, {}).items():
        if count:
            terminalreporter.write_line(f"{count} tests did not run, for they need {need}.", yellow=True)


@pytest.fixture(scope="session")
def postgresql_programs() -> Path:
    """The folder of the programs of a PostgreSQL server with TLS."""
    return Path(PROGRAMS["postgresql_programs"].required_path()).resolve().parent


@pytest.fixture(scope="session")
def pgbouncer() -> str:
    """Where PgBouncer is."""
    return PROGRAMS["pgbouncer"].required_path()


@pytest.fixture(scope="session")
def nginx() -> str:
    """Where nginx is."""
    return PROGRAMS["nginx"].required_path()
