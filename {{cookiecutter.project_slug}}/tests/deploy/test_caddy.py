"""Caddy with `deploy/caddy/Caddyfile`, as it stands there."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.deploy.contract import ProxyContract, StartProxy
from tests.support.processes.server import ServerProcess
from tests.support.servers.proxies import Proxy, running_caddy


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, replicas: list[ServerProcess]) -> Iterator[Proxy]:
    """Caddy in front of the replicas."""
    with running_caddy(tmp_path_factory.mktemp("caddy"), [server.port for server in replicas]) as running:
        yield running


@pytest.fixture
def start_proxy(tmp_path: Path) -> StartProxy:
    """Start Caddy in front of these ports."""
    return partial(running_caddy, tmp_path)


class TestCaddy(ProxyContract):
    """Caddy does what every proxy does."""
