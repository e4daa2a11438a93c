"""`manage audit archive`, as a process."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands.audit.test_audit import create, tamper
from tests.commands.test_commands import Manage, manage

__all__ = ["manage"]


def rows(manage: Manage) -> list[dict[str, Any]]:
    """What `export` gives."""
    return [json.loads(line) for line in manage("audit", "export")[1].splitlines()]


@pytest.mark.asvs("16.4.2")
def test_moves_the_oldest_rows_to_a_file(manage: Manage, tmp_path: Path) -> None:
    """The file is for its owner alone and is never overwritten; `verify` reads it, and says what it did not read."""
    for number in range(4):
        create(manage, number)
    before, file = rows(manage)[2]["created_at"], tmp_path / "archive.jsonl"
    code, out, err = manage("audit", "archive", str(file), "--before", before)
    assert (code, json.loads(err)["event"]) == (0, "audit_archived")
    assert out.startswith(f"2 rows are in {file}, and no longer in the database.")
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [row["sequence"] for row in rows(manage)] == [3, 4, 5]
    out = manage("audit", "verify")[1]
    assert out.startswith("3 rows, none of them changed, removed or added.\n2 rows before them are archived")
    assert manage("audit", "verify", str(file))[1].startswith("5 rows, none of them")
    assert manage("audit", "archive", str(file), "--before", before)[1] == "There is nothing to archive.\n"
    code, out, err = manage("audit", "archive", str(file), "--before", "2999-01-01T00:00:00Z")
    assert (code, out, "Nothing was removed" in err) == (1, "", True)
    assert len(rows(manage)) == 3


def test_refuses_a_trail_that_is_not_in_order(manage: Manage, tmp_path: Path) -> None:
    """Nothing is written or removed; what is no archive, or no time, is refused in words."""
    for number in range(3):
        create(manage, number)
    tamper(manage, "UPDATE audit_events SET action = 'nothing' WHERE sequence = 2")
    file = tmp_path / "archive.jsonl"
    code, _, err = manage("audit", "archive", str(file), "--before", "2999-01-01T00:00:00Z")
    assert (code, err.startswith("Row 2 of shard 1 was changed")) == (1, True)
    assert not file.exists()
    assert len(rows(manage)) == 3
    file.write_text("something else\n", encoding="ascii")
    assert f"cannot be read: {file} is no archive of the audit trail." in manage("audit", "verify", str(file))[2]
    assert "cannot be read" in manage("audit", "verify", str(tmp_path / "nowhere"))[2]
    assert "--before must be an RFC 3339 time" in manage("audit", "archive", str(file), "--before", "today")[2]
