"""Three replicas as production runs them, for the proxies in front of them."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import NO_SMTP
from tests.support.database.databases import Databases
from tests.support.processes.server import HOST, ServerProcess
from tests.support.servers.proxies import NAME


def production_settings() -> dict[str, str]:
    """Settings that production takes, all but `DATABASE_URL`: they believe a proxy on this machine."""
    return {
        "ENVIRONMENT": "production",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "PUBLIC_URL": f"https://{NAME}",
        "TRUSTED_PROXIES": HOST,
        "SMTP_URL": NO_SMTP,
        "RATE_LIMIT_SIGNIN": "100/15minutes",
        "REQUIRE_SECOND_FACTOR_FOR": "none",  # the tests' administrators have none
    }


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[list[ServerProcess]]:
    """Three replicas on one database."""
    folder = tmp_path_factory.mktemp("replicas")
    settings = production_settings()
    with databases.migrated(folder) as url, ExitStack() as stack:
        servers = []
        for number in range(3):
            place = folder / f"replica-{number}"
            place.mkdir()
            servers.append(stack.enter_context(ServerProcess(place, head_seconds=None, DATABASE_URL=url, **settings)))
        yield servers
