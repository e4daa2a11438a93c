"""What tests of the metrics share: a service that is measured, and what its endpoint says."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.database.databases import Databases
from tests.support.processes.server import HOST, ServerProcess, free_port

_LONGEST_WAIT = 40


class Measured:
    """A server with `METRICS_PORT`, and its metrics."""

    def __init__(self, server: ServerProcess, port: int) -> None:
        self.server = server
        self.port = port
        self.client = httpx2.Client(base_url=server.url, timeout=30)
        self.url = f"http://{HOST}:{port}/metrics"

    def text(self) -> str:
        """All of them, not older than the request."""
        time.sleep(1.05)
        answer = httpx2.get(self.url, timeout=10)
        assert answer.status_code == 200
        return answer.text

    def value(self, name: str, **labels: str) -> float:
        """The sum of what has this name and these labels."""
        return value_in(self.text(), name, **labels)

    def wait_for(self, condition: Callable[[str], bool]) -> str:
        """The metrics, as soon as they are like that."""
        give_up = time.monotonic() + _LONGEST_WAIT
        while not condition(text := self.text()):
            assert time.monotonic() < give_up, text
        return text


def samples(text: str) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """The names and labels of all series."""
    families = text_string_to_metric_families(text)
    return {(sample.name, tuple(sorted(sample.labels.items()))) for family in families for sample in family.samples}


def value_in(text: str, name: str, **labels: str) -> float:
    """The sum of what has this name and these labels in a text."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(each.value for each in found if each.name == name and labels.items() <= each.labels.items())


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Measured]:
    """One process."""
    yield from run_measured(tmp_path_factory.mktemp("measured"), databases, ALLOWED_HOSTS="127.0.0.1,listed.example")


def run_measured(folder: Path, databases: Databases, *options: str, **settings: Any) -> Iterator[Measured]:
    """Run a server that is measured."""
    port = free_port()
    with (
        databases.migrated(folder) as url,
        ServerProcess(folder, *options, DATABASE_URL=url, METRICS_PORT=str(port), **settings) as server,
    ):
        measured = Measured(server, port)
        with measured.client:
            yield measured
