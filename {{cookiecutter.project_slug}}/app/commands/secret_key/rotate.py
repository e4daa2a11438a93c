"""`manage rotate-secret-key`: a new secret key, in three steps with a restart of the service after the first.

The row of the trail is written, `.env` replaced, the row committed. After a kill in between, the next run adds it.
"""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Annotated

import orjson
import typer
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from app.assembly import RESEAL_JOBS
from app.commands.secret_key import env_file
from app.commands.support import fail, forecast, note, run_with_services, say, settings_or_exit, treat_all
from app.core.clock import utc_now
from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.core.events import UpkeepEvent, emit_event
from app.core.services import Services
from app.core.settings import model as configuration
from app.core.settings.model import Settings, source_of
from app.features.audit.service import AuditTrail
from app.features.audit.trail.chain import ChainKeys

_MOST = 1000  # rows that are counted

_ROTATED = """\
SECRET_KEY in .env is another one now; SECRET_KEY_FALLBACKS begins with the one before ({earlier} in all). Next:
1. Restart every process of the service: each works with the keys that it was started with.
2. manage rotate-secret-key --reseal
3. After {minutes} minutes: manage rotate-secret-key --retire, and restart once more.
Nobody is signed out. For more than one machine, docs/operations.md has the order."""
_QUESTION = "Was every process of the service restarted since .env was changed at {time}?"
_RISK = "A process that was not still seals with a key that goes now, and what it seals is lost."

_Reseal = Annotated[bool, typer.Option("--reseal", help="Seal what is stored with the current key, after the restart.")]
_Retire = Annotated[bool, typer.Option("--retire", help="Remove earlier keys, unless one is needed. Then restart.")]
_Yes = Annotated[bool, typer.Option("--yes", help="With --retire: every process was restarted, do not ask.")]


def rotate_secret_key(*, reseal: _Reseal = False, retire: _Retire = False, yes: _Yes = False) -> None:
    """Put a new random SECRET_KEY into .env, and the one before into SECRET_KEY_FALLBACKS. Nobody is signed out.

    Then restart the service, run it with --reseal, and some minutes later with --retire. Safe when stopped at any
    moment: .env is what it was or what it should be, and --reseal goes on. No key is ever shown. Exit code 1 with a
    reason if it refuses.
    """
    if reseal and retire:
        raise typer.BadParameter("--reseal and --retire are two steps.")
    settings = settings_or_exit()
    if reseal:
        run_with_services(_reseal_all, settings)
    elif retire:
        _retire_keys(yes=yes)
    else:
        _rotate_key()


def _rotate_key() -> None:
    with _env_file() as (file, settings):
        key = secrets.token_urlsafe(64)
        changed = env_file.with_new_key(file.content, key)
        left = run_with_services(partial(_rows_in_the_way, retire=False), settings)
        if left:
            fail(f"The last rotation is not finished: {left}. Run: manage rotate-secret-key --reseal")
        tell = partial(_tell, event=UpkeepEvent.KEY_ROTATED, file=file, new=changed)
        run_with_services(partial(tell, current=ChainKeys(KeyRing(SecretStr(key))).current_id.hex()), settings)
    earlier = len(settings.secret_key_fallbacks) + 1
    say(_ROTATED.format(earlier=earlier, minutes=settings.access_token_minutes + 1))


def _retire_keys(*, yes: bool) -> None:
    with _env_file() as (file, settings):
        left = run_with_services(partial(_rows_in_the_way, retire=True), settings)
        if not settings.secret_key_fallbacks:
            say("There is no earlier key.")
            return
        minutes = settings.access_token_minutes + 1
        due = file.modified_at + timedelta(minutes=minutes)
        if due > utc_now():
            fail(
                f"Access tokens that an earlier key signed may be in use until {due:%Y-%m-%d %H:%M:%S} UTC, {minutes}"
                " minutes after .env was changed. Run this again then."
            )
        if left:
            fail(f"The earlier keys are needed: {left}. Run: manage rotate-secret-key --reseal")
        question = _QUESTION.format(time=f"{file.modified_at:%Y-%m-%d %H:%M} UTC")
        if not yes and not sys.stdin.isatty():
            fail(f"{question} {_RISK} Add --yes if it was.")
        if not yes:
            note(_RISK)
            typer.confirm(question, abort=True)
        changed = env_file.without_fallbacks(file.content)
        run_with_services(partial(_tell, event=UpkeepEvent.KEYS_RETIRED, file=file, new=changed), settings)
    say("SECRET_KEY_FALLBACKS in .env is empty now. Restart every process of the service.")


@contextmanager
def _env_file() -> Iterator[tuple[env_file.LockedFile, Settings]]:
    """Lock `.env`, and load the settings from it; exits if the keys do not come from it."""
    for name in (env_file.KEY, env_file.FALLBACKS):
        source = source_of(name)
        if source not in {None, str(configuration.ENV_FILE)}:
            fail(
                f"{name.upper()} comes from {source}, not from .env: this command cannot change it there."
                " docs/operations.md says how to do it by hand; --reseal works wherever the keys come from."
            )
    try:
        with env_file.locked_file(configuration.ENV_FILE) as file:
            yield file, settings_or_exit()
    except env_file.EnvFileError as error:
        fail(f".env {error}.")


async def _rows_in_the_way(services: Services, *, retire: bool) -> str:
    """Say how many rows of which kind need an earlier key; empty if none does."""
    await _tell_missed(services)
    counts = {
        job.name: await forecast(services, partial(job.service(services).reseal, limit=_MOST), most=_MOST)
        for job in RESEAL_JOBS
        if retire or job.delays_rotation
    }
    return ", ".join(f"{count} {name} are sealed with an earlier key" for name, count in counts.items() if count)


async def _reseal_all(services: Services) -> None:
    for job in RESEAL_JOBS:
        resealed = await treat_all(services, job.name, partial(job.service(services).reseal, limit=200))
        say(f"{job.name}: {resealed} sealed with the current key")
    say("Everything that an earlier key sealed is sealed with the current one.")


async def _tell_missed(services: Services) -> None:
    """Record the last change of `.env` if its process was killed before it did."""
    last = await services[AuditTrail].latest(UpkeepEvent.KEY_ROTATED, UpkeepEvent.KEYS_RETIRED)
    name = ChainKeys(services[KeyRing]).current_id.hex()
    # The trail says that this key was put in, and that none was retired since.
    is_rotated = last is not None and orjson.loads(last.details).get("current") == name
    if services[Settings].secret_key_fallbacks and not is_rotated:
        await _tell(services, UpkeepEvent.KEY_ROTATED, current=name, late=True)
    elif is_rotated and not services[Settings].secret_key_fallbacks:
        await _tell(services, UpkeepEvent.KEYS_RETIRED, late=True)


async def _tell(
    services: Services, event: UpkeepEvent, file: env_file.LockedFile | None = None, new: bytes = b"", **fields: object
) -> None:
    """Record the event, with the key before a rotation, and replace the content of `.env` just before the commit."""
    # It records the events of this database from here on.
    AuditTrail(services[Database], services[KeyRing], follow=event is UpkeepEvent.KEY_ROTATED)
    replace = partial(file.replace, new) if file else None
    try:
        async with services[Database].transaction(before_commit=replace):
            emit_event(event, outcome="success", **fields)
    except SQLAlchemyError as error:
        if file is None or not file.replaced:
            raise
        fail(
            ".env is changed, but the database did not take the row of the audit trail that says so"
            f" ({type(error).__name__}). The next `manage rotate-secret-key`, with --retire or without, writes it."
            " Go on as after a success."
        )
