"""`python -m bench.trail` works, for whoever believes its figures."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.postgresql import PostgresqlDatabases
from tests.support.server import PROJECT


@pytest.fixture
def url(postgresql: PostgresqlDatabases) -> Iterator[str]:
    """An empty database on PostgreSQL."""
    created = postgresql.create()
    try:
        yield created
    finally:
        postgresql.drop(created)


def test_compares_what_a_chain_costs(url: str) -> None:
    """Writers at once, without a chain, with one shard and with all; the trail is whole after it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.trail", url, "--seconds", "0.1", "--rounds", "1", "--processes", "1"],
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
