"""The audit events of the keys in `.env`.

The row is written, `.env` replaced, the row committed. After a kill in between, the next run adds the missing row.
"""

from collections.abc import Callable

import orjson
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from app.commands.support import fail
from app.core.crypto import KeyRing, key_id
from app.core.database.database import Database
from app.core.errors import Problem
from app.core.events import KeyEvent, SecurityEvent, emit_event
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.audit.service import AuditTrail
from app.features.audit.trail.chain import TrailKey

_UNRECORDED = (
    ".env is changed, but the database did not take the row of the audit trail that says so ({cause}). The next"
    " `manage rotate-secret-key`, with --retire or without, writes it. Go on as after a success."
)


async def rotated(services: Services, key: str, replace: Callable[[], None]) -> None:
    """Replace `.env` with one that has the new key, and record it, signed with the key before it."""
    name = _name(KeyRing(SecretStr(key)))
    await _tell(services, KeyEvent.KEY_ROTATED, replace, follow=True, current=name)


async def retired(services: Services, replace: Callable[[], None]) -> None:
    """Replace `.env` with one that has no earlier keys, and record it."""
    await _tell(services, KeyEvent.KEYS_RETIRED, replace)


async def tell_missed(services: Services) -> None:
    """Record the last change of `.env` if its process was killed before it did."""
    trail = services[AuditTrail]
    last = await trail.latest(KeyEvent.KEY_ROTATED, KeyEvent.KEYS_RETIRED)
    name = _name(services[KeyRing])
    # The trail says that this key was put in, and that none was retired since.
    is_rotated = last is not None and orjson.loads(last.details).get("current") == name
    if services[Settings].secret_key_fallbacks and not is_rotated:
        await _tell(services, KeyEvent.KEY_ROTATED, follow=True, current=name, late=True)
    elif is_rotated and not services[Settings].secret_key_fallbacks:
        await _tell(services, KeyEvent.KEYS_RETIRED, late=True)


async def _tell(
    services: Services,
    event: SecurityEvent,
    replace: Callable[[], None] | None = None,
    *,
    follow: bool = False,
    **fields: object,
) -> None:
    AuditTrail(services[Database], services[KeyRing], follow=follow)  # records the events of this database from here on
    replaced = False

    def change() -> None:
        nonlocal replaced
        if replace is not None:
            replace()
            replaced = True

    try:
        async with services[Database].transaction(before_commit=change):
            emit_event(event, outcome="success", **fields)
    except Problem as problem:
        fail(problem.detail)
    except SQLAlchemyError as error:
        if not replaced:
            raise
        fail(_UNRECORDED.format(cause=type(error).__name__))


def _name(keys: KeyRing) -> str:
    return key_id(keys.current(TrailKey.AUDIT)).hex()
