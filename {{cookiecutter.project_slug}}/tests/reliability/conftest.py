"""Three replicas as production runs them: PostgreSQL, Valkey, a mail server, and Caddy with TLS in front."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal

from tests.deploy.conftest import production_settings
from tests.support.database.databases import migrate
from tests.support.database.postgresql import PostgresqlDatabases
from tests.support.processes.fleet import Fleet, through
from tests.support.processes.replicas import EMAIL, PASSWORD
from tests.support.processes.server import environment
from tests.support.processes.warm import Command
from tests.support.records.mail import MailServer, running_smtp
from tests.support.servers.proxies import Proxy, running_caddy
from tests.support.servers.valkey import running_valkey, url_of

MOST_SIGNINS = 100


@dataclass(frozen=True)
class Site:
    """The replicas, what is in front of them and behind them, and an administrator."""

    fleet: Fleet
    proxy: Proxy
    client: httpx2.Client
    mail: MailServer = field(repr=False)

    @property
    def database_url(self) -> str:
        """The database of the replicas."""
        return self.fleet.settings["DATABASE_URL"]

    def sign_in(self) -> dict[str, str]:
        """Sign the administrator in, and return the tokens."""
        answer = self.client.post("/api/v1/signin", json={"email": EMAIL, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        tokens: dict[str, str] = answer.json()
        return tokens


def create_administrator(folder: Path, settings: dict[str, str]) -> None:
    """Give `EMAIL` an account with `PASSWORD`."""
    create = ("create-admin", "--email", EMAIL, "--password-stdin")
    done = Command(create, folder=folder, environment=environment(**settings), stdin=PASSWORD.encode()).end()
    assert done.code == 0, done.err


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    """A mail server, in a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running_smtp(MailServer())) as server:
        yield server


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresqlDatabases, mail_server: MailServer
) -> Iterator[Site]:
    """Three replicas on PostgreSQL and Valkey, whatever the other tests run on."""
    folder, url = tmp_path_factory.mktemp("site"), postgresql.create()
    migrate(url)
    with running_valkey() as valkey:
        settings = production_settings() | {
            "DATABASE_URL": url,
            "REDIS_URL": url_of(valkey),
            "SMTP_URL": mail_server.url(query="?tls=off"),
            "REGISTRATION": "open",
            "RATE_LIMIT_SIGNIN": f"{MOST_SIGNINS}/15minutes",
        }
        create_administrator(folder, settings)
        with (
            Fleet(folder, 3, **settings) as fleet,
            running_caddy(folder, fleet.ports) as proxy,
            through(proxy) as client,
        ):
            yield Site(fleet, proxy, client, mail_server)
    postgresql.drop(url)
