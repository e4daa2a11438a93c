"""`manage rotate-secret-key`, as processes on a real `.env` and a real database."""

import asyncio
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from pydantic import SecretStr

from app.core.database import Database
from app.core.keys import KeyRing
from app.core.sealing import SealBrokenError
from tests.support.command_line import CommandLine
from tests.support.notes import count_sealed, create_notes, read_notes
from tests.support.server import HOST, ServerProcess

if sys.platform != "win32":
    import pty

ROTATE = "rotate-secret-key"
EMAIL = "ada@people.example"
NOTES = 3000

Answer = TypeVar("Answer")


@pytest.fixture
def manage(command_line: CommandLine) -> CommandLine:
    """The command line, by its name."""
    return command_line


def make_notes(manage: CommandLine, count: int) -> None:
    """Make sealed rows with the keys of now."""

    async def make() -> None:
        database = Database(manage.settings().database_url)
        await create_notes(database, KeyRing(manage.secrets()[0]), count)
        await database.close()

    asyncio.run(make())


def notes(manage: CommandLine, *keys: SecretStr) -> list[str]:
    """Read every sealed row with these keys alone."""
    return ask(manage, lambda database: read_notes(database, *keys))


def resealed(manage: CommandLine, key: SecretStr) -> int:
    """How many rows the key has sealed."""
    return ask(manage, lambda database: count_sealed(database, key))


def ask(manage: CommandLine, question: Callable[[Database], Awaitable[Answer]]) -> Answer:
    """Open the database for one question."""

    async def asked() -> Answer:
        database = Database(manage.settings().database_url)
        try:
            return await question(database)
        finally:
            await database.close()

    return asyncio.run(asked())


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
    created = manage.start("create-admin", "--email", EMAIL, SECRET_KEY=manage.keys()[0])
    password = created.communicate(timeout=60)[0].decode().strip().rsplit(" ", 1)[1]
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


def test_what_is_sealed_is_sealed_anew_and_then_the_old_key_can_go(manage: CommandLine) -> None:
    """The three steps with a feature of its own in the list; each refuses what would lose something."""
    manage = manage.with_notes()
    make_notes(manage, 450)
    (first,) = manage.secrets()
    assert manage(ROTATE)[0] == 0
    rotated = manage.keys()
    assert len(notes(manage, first)) == 450
    manage.let_time_pass()
    for step in ([], ["--retire", "--yes"]):
        code, _, err = manage(ROTATE, *step)
        assert code == 1
        assert "450 notes are sealed with an earlier key" in err
        assert "--reseal" in err
    assert manage.keys() == rotated
    code, out, _ = manage(ROTATE, "--reseal")
    assert (code, "notes: 450 sealed with the current key" in out) == (0, True)
    assert manage(ROTATE, "--reseal")[1].startswith("notes: 0 sealed")
    assert manage(ROTATE, "--retire", "--yes")[0] == 0
    assert manage.keys() == rotated[:1]
    assert notes(manage, *manage.secrets()) == [f"note {number:05}" for number in range(450)]
    with pytest.raises(SealBrokenError):
        notes(manage, first)


def test_resealing_goes_on_where_it_was_killed(manage: CommandLine) -> None:
    """`kill -9` once rows are sealed anew: all open with the two keys after each, and at the end with the new one."""
    manage = manage.with_notes()
    make_notes(manage, NOTES)
    assert manage(ROTATE)[0] == 0
    current, _ = manage.secrets()
    dice = random.Random(2)  # noqa: S311  # moments, not secrets
    done = [resealed(manage, current)]
    for _ in range(4):
        with manage.start(ROTATE, "--reseal") as process:
            while process.poll() is None and resealed(manage, current) == done[-1]:
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        done.append(resealed(manage, current))
        assert len(notes(manage, *manage.secrets())) == NOTES
        assert len(manage.keys()) == 2
    assert done == sorted(done)
    assert any(0 < count < NOTES for count in done)
    assert manage(ROTATE, "--reseal")[0] == 0
    assert len(notes(manage, current)) == NOTES


def test_killing_the_command_loses_no_key(manage: CommandLine) -> None:
    """`kill -9` of the whole command around the moment at which it writes: `.env` is as before, or as it should be."""
    begin = time.monotonic()
    assert manage(ROTATE)[0] == 0
    usual = time.monotonic() - begin
    dice = random.Random(3)  # noqa: S311  # moments, not secrets
    for _ in range(6):
        before = manage.keys()
        with manage.start(ROTATE) as process:
            time.sleep(usual * dice.uniform(0.6, 1.0))
            process.send_signal(signal.SIGKILL)
        after = manage.keys()
        assert after in (before, [after[0], *before])
        assert manage.env_file.stat().st_mode & 0o777 == 0o600
    assert manage("check")[0] == 0


def test_several_at_once_lose_no_key(manage: CommandLine) -> None:
    """Each succeeds or is told to wait, and the file has one key more for each success."""
    before = manage.keys()
    running = [manage.start(ROTATE) for _ in range(3)]
    errors = [process.communicate(timeout=60)[1].decode() for process in running]
    succeeded = [process.returncode for process in running].count(0)
    assert succeeded
    assert all("another process" in error for error, process in zip(errors, running, strict=True) if process.returncode)
    keys = manage.keys()
    assert len(set(keys)) == len(keys) == 1 + succeeded
    assert keys[-1:] == before


def test_the_old_key_stays_while_tokens_of_it_may_be_in_use(manage: CommandLine) -> None:
    """Ten minutes and one after the file was changed; then only when somebody says that all was restarted."""
    assert manage(ROTATE, "--retire", "--yes")[1] == "There is no earlier key.\n"
    manage(ROTATE)
    code, _, err = manage(ROTATE, "--retire", "--yes")
    assert code == 1
    assert "11 minutes after .env was changed" in err
    assert manage(ROTATE, "--reseal")[0] == 0
    manage.let_time_pass()
    code, _, err = manage(ROTATE, "--retire")
    assert code == 1
    assert "Add --yes" in err
    assert len(manage.keys()) == 2
    code, out, err = manage(ROTATE, "--retire", "--yes")
    assert (code, "Restart" in out, '"event":"keys_retired"' in err) == (0, True, True)
    assert manage.env_file.read_text().endswith("\nSECRET_KEY_FALLBACKS=\n")
    assert manage(ROTATE)[0] == 0
    assert len(manage.keys()) == 2


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 2), ("y", 0, 1)])
def test_somebody_at_a_terminal_is_asked(manage: CommandLine, answer: str, code: int, left: int) -> None:
    """Whether every process was restarted: the old key goes only with a yes."""
    assert manage(ROTATE)[0] == 0
    assert manage(ROTATE, "--reseal")[0] == 0
    manage.let_time_pass()
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    with manage.start(ROTATE, "--retire", stdin=theirs) as process:
        os.close(theirs)
        out = process.communicate(timeout=60)[0].decode()
    os.close(ours)
    assert process.returncode == code
    assert "Was every process of the service restarted since .env was changed at " in out
    assert len(manage.keys()) == left


KEY = secrets.token_urlsafe(64)


@pytest.mark.parametrize(
    ("setting", "step"),
    [("SECRET_KEY", []), ("secret_key", []), ("SECRET_KEY_FALLBACKS", []), ("SECRET_KEY", ["--retire", "--yes"])],
    ids=repr,
)
def test_refuses_where_the_file_is_not_what_counts(manage: CommandLine, setting: str, step: list[str]) -> None:
    """Keys from the environment: a new one in the file would not be used."""
    before = manage.env_file.read_bytes()
    code, _, err = manage(ROTATE, *step, **{"SECRET_KEY": "", setting: KEY})
    assert code == 1
    assert f"{setting.upper()} comes from the environment" in err
    assert "docs/operations.md" in err
    assert KEY not in err
    assert manage.env_file.read_bytes() == before


def test_resealing_works_wherever_the_keys_come_from(manage: CommandLine) -> None:
    """With the new key and the earlier one in the environment alone, as after a rotation by hand."""
    manage = manage.with_notes()
    make_notes(manage, 10)
    (earlier,) = manage.keys()
    manage.env_file.unlink()
    keys = {"SECRET_KEY": KEY, "SECRET_KEY_FALLBACKS": earlier}
    code, out, _ = manage(ROTATE, "--reseal", **keys)
    assert (code, "notes: 10 sealed with the current key" in out) == (0, True)
    code, _, err = manage(ROTATE, **keys)
    assert (code, "comes from the environment" in err) == (1, True)


def test_refuses_a_file_that_it_cannot_change_for_certain(manage: CommandLine, tmp_path: Path) -> None:
    """Two keys, a link, a setting made of the key: in words, with nothing changed."""
    text = manage.env_file.read_text()
    for wrong, reason in (
        (text + text, "has 2 lines that set SECRET_KEY"),
        (text + "APP_NAME=x${SECRET_KEY}\n", "made of a key"),
    ):
        manage.env_file.write_text(wrong)
        code, _, err = manage(ROTATE)
        assert (code, reason in err) == (1, True)
        assert manage.env_file.read_text() == wrong
    manage.env_file.write_text(text)
    manage.env_file.rename(tmp_path / "elsewhere")
    manage.env_file.symlink_to(tmp_path / "elsewhere")
    code, _, err = manage(ROTATE)
    assert (code, "symbolic link" in err) == (1, True)
    assert manage.env_file.is_symlink()
    assert (tmp_path / "elsewhere").read_text() == text


def test_says_in_words_what_else_is_wrong(manage: CommandLine, tmp_path: Path) -> None:
    """Two steps at once, a schema of another version, a database that is not there: no key is drawn."""
    before = manage.keys()
    assert manage(ROTATE, "--reseal", "--retire")[0] == 2
    code, _, err = manage(ROTATE, DATABASE_URL=f"sqlite:///{tmp_path / 'new.db'}")
    assert (code, "uv run manage migrate" in err) == (1, True)
    for step in ([], ["--reseal"]):
        code, _, err = manage(ROTATE, *step, DATABASE_URL=f"sqlite:///{tmp_path / 'no' / 'folder.db'}")
        assert (code, "The database does not answer" in err) == (1, True)
    assert manage.keys() == before


class serving:  # noqa: N801  # reads as a word
    """The service as a process with the `.env` of now, and a client for it."""

    def __init__(self, manage: CommandLine) -> None:
        self._server = ServerProcess(manage.folder, SECRET_KEY="", DATABASE_URL=manage.database_url)

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
