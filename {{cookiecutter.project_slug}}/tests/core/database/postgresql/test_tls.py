"""PostgreSQL over TLS: a server of Debian's, its certificate, and what `manage` does with `DATABASE_URL`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.support.database.postgresql import PostgresqlServer
from tests.support.processes.server import environment
from tests.support.processes.warm import Command, Done
from tests.support.servers.certificates import Authority

pytestmark = pytest.mark.asvs("12.3.1", "12.3.2")

NAME = "localhost"
PASSWORD = "6h3JfKq9"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the server."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(postgresql_programs: Path, authority: Authority) -> Iterator[PostgresqlServer]:
    """A server with a certificate for `localhost`."""
    authority.server(NAME)
    running = PostgresqlServer(programs=postgresql_programs, certificate=authority.file.with_name(f"{NAME}.pem"))
    try:
        yield running
    finally:
        running.close()


class Migrate:
    """`manage migrate` as a process with a home of its own, over the server."""

    def __init__(self, server: PostgresqlServer, home: Path) -> None:
        self.url = make_url(server.url)
        self.home = home

    def __call__(self, options: str, host: str = NAME, **variables: str) -> Done:
        """Run it with these options in `DATABASE_URL`."""
        url = self.url.set(host=host).render_as_string(hide_password=False) + options
        settings = {**environment(DATABASE_URL=url), "HOME": str(self.home), "NO_COLOR": "1", **variables}
        done = Command(("migrate",), folder=self.home, environment=settings).end()
        assert "Traceback" not in done.err
        assert str(self.url.password) not in done.out + done.err
        return done


@pytest.fixture
def migrate(server: PostgresqlServer, tmp_path: Path) -> Migrate:
    """The command."""
    return Migrate(server, tmp_path)


@pytest.mark.asvs("12.3.4")
def test_the_certificates_of_authorities_are_named_in_three_ways(migrate: Migrate, authority: Authority) -> None:
    """By `sslrootcert`, in libpq's file, and as those that the machine trusts; without any, the boot says so."""
    done = migrate("?ssl=verify-full")
    assert (done.code, len(done.err.splitlines())) == (1, 2)
    for way in ("sslrootcert=/path/to", "sslrootcert=system", "~/.postgresql/root.crt"):
        assert way in done.err
    assert migrate(f"?ssl=verify-full&sslrootcert={authority.file}").code == 0
    assert migrate("?sslmode=verify-full&sslrootcert=system", SSL_CERT_FILE=str(authority.file)).code == 0
    folder = migrate.home / ".postgresql"
    folder.mkdir()
    shutil.copy(authority.file, folder / "root.crt")
    assert migrate("?ssl=verify-full").code == 0


def test_a_certificate_that_does_not_fit_is_named_in_one_line(
    migrate: Migrate, authority: Authority, tmp_path: Path
) -> None:
    """Of another host, or by an authority that is not trusted; encryption alone does not look."""
    other = Authority(tmp_path / "other")
    for options, host in (
        (f"?sslmode=verify-full&sslrootcert={authority.file}", "127.0.0.1"),
        (f"?sslmode=verify-full&sslrootcert={other.file}", NAME),
        (f"?sslmode=require&sslrootcert={other.file}", NAME),
        ("?sslmode=verify-full&sslrootcert=system", NAME),
        ("?sslmode=require&channel_binding=require", NAME),
    ):
        done = migrate(options, host)
        assert (done.code, len(done.err.splitlines())) == (1, 1), done.err
        assert "certificate" in done.err
        assert "sslrootcert" in done.err
    assert migrate(f"?sslmode=verify-ca&sslrootcert={authority.file}", "127.0.0.1").code == 0
    assert migrate("?sslmode=require").code == 0


def test_a_url_of_neon_works_with_a_certificate_that_the_machine_trusts(migrate: Migrate, authority: Authority) -> None:
    """Asyncpg has no channel binding; what it guards against, the certificate does."""
    assert migrate("?sslmode=require&channel_binding=require", SSL_CERT_FILE=str(authority.file)).code == 0


def test_a_client_can_have_a_certificate_too(migrate: Migrate, authority: Authority) -> None:
    """`sslcert` and `sslkey`, which may be one file."""
    pem = authority.file.with_name(f"{NAME}.pem")
    files = f"sslrootcert={authority.file}&sslcert={pem}&sslkey={pem}"
    assert migrate(f"?sslmode=verify-full&{files}&application_name=orders&connect_timeout=5").code == 0
