"""`manage rotate-secret-key --reseal`: what is stored is sealed with the current key, whoever is killed."""

import asyncio
import random
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from pydantic import SecretStr

from app.core.crypto import KeyRing, SealBrokenError
from app.core.database.database import Database
from tests.support.processes.command_line import CommandLine
from tests.support.processes.notes import count_sealed, create_notes, read_notes

ROTATE = "rotate-secret-key"
KEY = secrets.token_urlsafe(64)
NOTES = 1500

Answer = TypeVar("Answer")


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


def test_what_is_sealed_is_sealed_anew_and_then_the_old_key_can_go(manage: CommandLine) -> None:
    """The three steps with a feature of its own in the list; each refuses what would lose something."""
    manage = manage.with_notes()
    make_notes(manage, 250)
    (first,) = manage.secrets()
    assert manage(ROTATE)[0] == 0
    rotated = manage.keys()
    assert len(notes(manage, first)) == 250
    manage.let_time_pass()
    for step in ([], ["--retire", "--yes"]):
        code, _, err = manage(ROTATE, *step)
        assert code == 1
        assert "250 notes are sealed with an earlier key" in err
        assert "--reseal" in err
    assert manage.keys() == rotated
    code, out, _ = manage(ROTATE, "--reseal")
    assert (code, "notes: 250 sealed with the current key" in out) == (0, True)
    assert manage(ROTATE, "--reseal")[1].startswith("notes: 0 sealed")
    assert manage(ROTATE, "--retire", "--yes")[0] == 0
    assert manage.keys() == rotated[:1]
    assert notes(manage, *manage.secrets()) == [f"note {number:05}" for number in range(250)]
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
        with manage.start(ROTATE, "--reseal") as command:
            while command.process.poll() is None and resealed(manage, current) == done[-1]:
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.05))
            command.process.send_signal(signal.SIGKILL)
        done.append(resealed(manage, current))
        assert len(notes(manage, *manage.secrets())) == NOTES
        assert len(manage.keys()) == 2
    assert done == sorted(done)
    assert any(0 < count < NOTES for count in done)
    assert manage(ROTATE, "--reseal")[0] == 0
    assert len(notes(manage, current)) == NOTES


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
