"""`python -m bench.trail` works, for whoever believes its figures."""

import os
import subprocess
import sys

from tests.support.processes.server import PROJECT


def test_compares_what_a_chain_costs(postgresql_url: str) -> None:
    """Writers at once, without a chain, with one shard and with all; the trail is whole after it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.trail", postgresql_url, "--seconds", "0.1", "--rounds", "1", "--processes", "1"],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rates, one, eight, rows = done.stdout.splitlines()
    assert rates.count("/s") == 3
    assert (one[:8], eight[:9]) == ("1 shard:", "8 shards:")
    assert rows.endswith("rows, all in order")
