"""nginx with `deploy/nginx/site.conf`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.deploy.contract import ProxyContract, StartProxy
from tests.support.processes.server import ServerProcess
from tests.support.servers.proxies import Proxy, running_nginx


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, replicas: list[ServerProcess], nginx: str) -> Iterator[Proxy]:
    """The proxy in front of the replicas."""
    with running_nginx(nginx, tmp_path_factory.mktemp("nginx"), [server.port for server in replicas]) as running:
        yield running


@pytest.fixture
def start_proxy(tmp_path: Path, nginx: str) -> StartProxy:
    """Start nginx in front of these ports."""
    return partial(running_nginx, nginx, tmp_path)


class TestNginx(ProxyContract):
    """nginx does what every proxy does."""
