"""What tests of commands share."""

import shutil
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine


@pytest.fixture
def command_line(tmp_path: Path, migrated_database: Path) -> CommandLine:
    """The command line with an `.env` and a migrated database of its own."""
    database = tmp_path / "app.db"
    shutil.copyfile(migrated_database, database)
    return CommandLine(tmp_path, f"sqlite:///{database}")
