"""What tests of the core share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.records.logs import Log, captured_log, log_settings
from tests.support.settings_sources import Sources


@pytest.fixture
def log() -> Iterator[Log]:
    """The log, as JSON at `info`."""
    with captured_log(log_settings()) as captured:
        yield captured


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sources:
    """Sources that are the test's own."""
    return Sources(monkeypatch, tmp_path)
