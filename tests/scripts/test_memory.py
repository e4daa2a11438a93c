"""The folder in memory that the tests and `make bench` write to."""

import os
import sys
from pathlib import Path

import pytest

from scripts import memory
from scripts.memory import memory_folder


def test_is_taken_where_it_is_of_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On Linux, if what is wanted is free; otherwise files go where they always go."""
    monkeypatch.setattr(memory, "FOLDER", tmp_path)
    assert memory_folder(free=1) == (tmp_path if sys.platform == "linux" else None)
    assert memory_folder(free=2**62) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a folder")
def test_is_not_taken_where_no_program_may_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in many containers: the programs of a rendered project are put there."""
    monkeypatch.setattr(memory, "FOLDER", tmp_path)
    found = os.statvfs(tmp_path)
    flags = os.statvfs_result((*found[:8], found.f_flag | os.ST_NOEXEC, found.f_namemax))
    monkeypatch.setattr(os, "statvfs", lambda _: flags)
    assert memory_folder(free=1) is None
