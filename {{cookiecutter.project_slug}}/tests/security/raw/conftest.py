"""What tests of raw bytes share."""

from collections.abc import Iterator

import pytest

from tests.support.database.databases import Databases
from tests.support.http.raw import HEAD_SECONDS
from tests.support.processes.server import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[ServerProcess]:
    """The service, with a short deadline for heads."""
    folder = tmp_path_factory.mktemp("server")
    with (
        databases.migrated(folder) as url,
        ServerProcess(folder, head_seconds=HEAD_SECONDS, DATABASE_URL=url) as running,
    ):
        yield running
