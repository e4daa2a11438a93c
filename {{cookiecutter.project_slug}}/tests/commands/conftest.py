"""What tests of commands share."""

from pathlib import Path

import pytest

from tests.support.processes.command_line import CommandLine


@pytest.fixture
def command_line(tmp_path: Path, database_url: str) -> CommandLine:
    """The command line with an `.env` and a migrated database of its own."""
    return CommandLine(tmp_path, database_url)


@pytest.fixture
def manage(command_line: CommandLine) -> CommandLine:
    """The command line, by its name."""
    return command_line
