"""`manage rotate-secret-key`: a new key in `.env`, as processes on a real `.env` and a real database."""

import random
import signal
import time
from typing import Any

import httpx2
import pytest

from tests.support.processes.command_line import CommandLine
from tests.support.processes.server import HOST, ServerProcess

ROTATE = "rotate-secret-key"
EMAIL = "ada@people.example"


@pytest.mark.asvs("11.2.2", "13.3.2")
def test_the_new_key_is_in_the_file_and_the_old_one_is_a_fallback(manage: CommandLine) -> None:
    """Twice: the newest first, mode and comments kept, no key shown (`CommandLine` looks), and what to do next is."""
    (first,) = manage.keys()
    code, out, err = manage(ROTATE)
    assert code == 0
    assert out.index("Restart") < out.index("--reseal") < out.index("--retire")
    assert '"event":"key_rotated"' in err
    second = manage.keys()
    assert second[1:] == [first]
    assert len(second[0]) == 86
    code, out, _ = manage(ROTATE)
    assert (code, "2 in all" in out) == (0, True)
    assert manage.keys()[1:] == second
    assert manage.env_file.read_text().startswith("# keys\nSECRET_KEY=")
    assert manage.env_file.stat().st_mode & 0o777 == 0o600
    assert manage("check")[0] == 0


@pytest.mark.asvs("11.2.2", "7.4.1")
def test_nobody_is_signed_out(manage: CommandLine) -> None:
    """A server process before, between and after: access and refresh tokens work after the rotation and a restart."""
    password = manage.create_admin(EMAIL)
    with serving(manage) as client:
        tokens = client.post("/api/v1/signin", json={"email": EMAIL, "password": password}).json()
    assert manage(ROTATE)[0] == 0
    with serving(manage) as client:
        assert status(client, tokens) == 200
        renewed = refresh(client, tokens)
        assert status(client, renewed) == 200
    assert manage(ROTATE, "--reseal")[0] == 0
    manage.let_time_pass()
    assert manage(ROTATE, "--retire", "--yes")[0] == 0
    assert len(manage.keys()) == 1
    with serving(manage) as client:
        assert status(client, tokens) == 401
        assert status(client, renewed) == 200
        assert status(client, refresh(client, renewed)) == 200


def test_killing_the_command_loses_no_key(manage: CommandLine) -> None:
    """`kill -9` of the whole command around the moment at which it writes: `.env` is as before, or as it should be."""
    begin = time.monotonic()
    assert manage(ROTATE)[0] == 0
    usual = time.monotonic() - begin
    dice = random.Random(3)  # noqa: S311  # moments, not secrets
    for _ in range(6):
        before = manage.keys()
        with manage.start(ROTATE) as command:
            time.sleep(usual * dice.uniform(0.6, 1.0))
            command.process.send_signal(signal.SIGKILL)
        after = manage.keys()
        assert after in (before, [after[0], *before])
        assert manage.env_file.stat().st_mode & 0o777 == 0o600
    assert manage("check")[0] == 0


def test_several_at_once_lose_no_key(manage: CommandLine) -> None:
    """Each succeeds or is told to wait, and the file has one key more for each success."""
    before = manage.keys()
    running = [manage.start(ROTATE) for _ in range(3)]
    ended = [command.end() for command in running]
    succeeded = [done.code for done in ended].count(0)
    assert succeeded
    assert all("another process" in done.err for done in ended if done.code)
    keys = manage.keys()
    assert len(set(keys)) == len(keys) == 1 + succeeded
    assert keys[-1:] == before


class serving:  # noqa: N801  # reads as a word
    """The service as a process with the `.env` of now, and a client for it."""

    def __init__(self, manage: CommandLine) -> None:
        # Whichever port it gets, the tokens name one issuer.
        self._server = ServerProcess(
            manage.folder, SECRET_KEY="", DATABASE_URL=manage.database_url, PUBLIC_URL="http://127.0.0.1:8000"
        )

    def __enter__(self) -> httpx2.Client:
        """Start."""
        self._server.__enter__()
        self._client = httpx2.Client(base_url=f"http://{HOST}:{self._server.port}", timeout=20)
        return self._client

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self._client.close()
        self._server.stop()


def status(client: httpx2.Client, tokens: dict[str, Any]) -> int:
    """What the access token opens."""
    return client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}).status_code


def refresh(client: httpx2.Client, tokens: dict[str, Any]) -> dict[str, Any]:
    """New tokens for the refresh token."""
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    answer = client.post("/oauth/token", data=form)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
