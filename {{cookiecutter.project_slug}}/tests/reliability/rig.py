"""A service whose database, counters, mail, disk or clock fail, asked before, meanwhile and afterwards."""

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

import httpx2

from tests.support.processes.replicas import EMAIL, PASSWORD
from tests.support.processes.server import PROJECT
from tests.support.processes.warm import Process

TABLE = PROJECT / "docs" / "reliability.md"
ME = "/api/v1/users/me"
USUAL = [200] * 6
# A fault that is over is forgotten within this time, without a restart.
SECONDS = 10
CROWD = 6
# What is answered to somebody who is not let in; 503 while nobody can say.
STAY_OUT = {400, 401, 429, 503}

Act = Callable[[], object]


@dataclass
class Rig:
    """One replica and its client, who is signed in, and the tokens of a session that was ended."""

    client: httpx2.Client
    process: Process
    folder: Path
    tokens: dict[str, str]
    ended: dict[str, str]
    crowded: int = CROWD

    @classmethod
    def on(cls, client: httpx2.Client, process: Process, folder: Path) -> "Rig":
        """Sign the administrator in twice, and end one of the sessions."""
        tokens, ended = ((_sign_in(client).json()) for _ in range(2))
        done = client.post("/oauth/revoke", data={"token": ended["refresh_token"]}, headers=_bearer(ended))
        assert done.status_code == 200, done.text
        return cls(client, process, folder, tokens, ended)

    def statuses(self) -> list[int]:
        """Ask as the columns of the table say: anonymous, reading, signing in, writing, `/livez`, `/readyz`."""
        # From an address that is new each time, of which nothing is counted in advance.
        address = {"X-Forwarded-For": str(IPv6Address((0x20010DB8 << 96) + (secrets.randbits(32) << 64)))}
        me = _bearer(self.tokens) | address
        time.sleep(0.3)  # a result of `/readyz` may be that old
        return [
            self.client.get("/.well-known/oauth-authorization-server", headers=address).status_code,
            self.client.get(ME, headers=me).status_code,
            _sign_in(self.client, **address).status_code,
            self.client.patch(ME, json={"display_name": f"{time.monotonic()}"}, headers=me).status_code,
            self.client.get("/livez").status_code,
            self.client.get("/readyz").status_code,
        ]

    def assert_strangers_stay_out(self) -> None:
        """A wrong password, the tokens of a session that has ended, and a token that was never issued open nothing."""
        form = {"grant_type": "refresh_token", "refresh_token": self.ended["refresh_token"]}
        altered = self.tokens | {"access_token": self.tokens["access_token"][:-8] + "AAAAAAAA"}
        statuses = {
            _sign_in(self.client, "wrong").status_code,
            self.client.get(ME, headers=_bearer(self.ended)).status_code,
            self.client.get(ME, headers=_bearer(altered)).status_code,
            self.client.post("/oauth/token", data=form).status_code,
        }
        assert statuses <= STAY_OUT, statuses

    def endure(self, row: str, begin: Act, heal: Act) -> None:
        """Compare what the service does during a fault with the row of the table; then wait until all is well."""
        self.recover()
        with self.crowd() as answered:
            begin()
            try:
                seen = self.statuses()
                self.assert_strangers_stay_out()
            finally:
                heal()
            seconds = self.recover()
        self.assert_strangers_stay_out()
        assert answered <= {200, *seen}, answered
        assert bool(answered) is (self.crowded > 0)
        print(f"{row}: {seen}, back after {seconds:.1f} s")  # noqa: T201  # the figure of the table, with `pytest -s`
        assert seen == documented(row), seen

    @contextmanager
    def crowd(self) -> Iterator[set[int]]:
        """Read and write with many connections until the block ends; yield the statuses, 0 for no answer."""
        over, statuses, me = threading.Event(), set[int](), _bearer(self.tokens)

        def ask(number: int) -> None:
            while not over.wait(0.05):
                try:
                    read = self.client.get(ME, headers=me)
                    wrote = self.client.patch(ME, json={"display_name": f"Person {number}"}, headers=me)
                    statuses.update((read.status_code, wrote.status_code))
                except httpx2.TransportError:
                    statuses.add(0)

        with ThreadPoolExecutor(CROWD) as pool:
            pool.map(ask, range(self.crowded))
            try:
                yield statuses
            finally:
                over.set()

    def recover(self) -> float:
        """After how many seconds all is as before."""
        began = time.monotonic()
        while (seen := self.statuses()) != USUAL:
            assert time.monotonic() - began < SECONDS, seen
        return time.monotonic() - began


def documented(row: str) -> list[int]:
    """Return the statuses in the row of `docs/reliability.md` that names the test."""
    (line,) = (line for line in TABLE.read_text(encoding="utf-8").splitlines() if f"`{row}`" in line)
    return [int(status) for status in re.findall(r"\| (\d{3}) (?=\|)", line)]


def _sign_in(client: httpx2.Client, password: str = PASSWORD, **headers: str) -> httpx2.Response:
    return client.post("/api/v1/signin", json={"email": EMAIL, "password": password}, headers=headers)


def _bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}
