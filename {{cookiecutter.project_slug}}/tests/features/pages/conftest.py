"""What the tests of the pages share."""

from collections.abc import Iterator

import pytest

from tests.support.databases import Databases
from tests.support.site import Site, running_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Site]:
    """The service as a process of its own, for browsers; a test looks only at what it has put there."""
    with running_site(tmp_path_factory.mktemp("site"), databases) as running:
        yield running
