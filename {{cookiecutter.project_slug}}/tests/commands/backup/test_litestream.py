"""`deploy/litestream/`: what Litestream copies meanwhile is a database of this service."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.commands.backup.conftest import Drill
from tests.support.processes.server import PROJECT, ServerProcess

CONFIG = PROJECT / "deploy" / "litestream" / "litestream.yml"
_LONGEST_WAIT = 20


@pytest.mark.skipif(sys.platform != "linux", reason="the package of Litestream is for Linux")
def test_a_copy_of_litestream_is_whole(sqlite_drill: Drill, tmp_path: Path) -> None:
    """With the configuration as it is and a service that writes: all that was acknowledged is in the copy."""
    manage, litestream = sqlite_drill.manage, Path(sys.executable).with_name("litestream")
    variables = {
        **os.environ,
        "LITESTREAM_DATABASE": str(tmp_path / "live.db"),
        "LITESTREAM_REPLICA": f"file://{tmp_path}/replica",
    }
    with (
        ServerProcess(tmp_path, head_seconds=None, **manage.server_settings()) as server,
        (tmp_path / "litestream.log").open("wb") as log,
        subprocess.Popen(
            [litestream, "replicate", "-config", CONFIG], env=variables, stdout=log, stderr=log
        ) as replicating,
        httpx2.Client(base_url=server.url, timeout=30) as client,
    ):
        for number in range(20):
            answer = client.post(
                "/api/v1/accounts", json={"email": f"{number}@people.example", "password": "seven green lamps sing"}
            )
            assert answer.status_code == 202
        time.sleep(2)
        replicating.terminate()
        replicating.wait(_LONGEST_WAIT)
    copy = tmp_path / "copy.db"
    done = subprocess.run(
        [litestream, "restore", "-config", CONFIG, "-o", copy, variables["LITESTREAM_DATABASE"]],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_WAIT,
    )
    assert done.returncode == 0, done.stderr
    restored = manage("restore", str(copy), **sqlite_drill.elsewhere)
    assert restored.code == 0, restored.err
    listed = manage("audit", "export", **sqlite_drill.elsewhere).out
    assert listed.count('"account_created"') == 21
