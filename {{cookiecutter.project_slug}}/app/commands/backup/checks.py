"""What a restored database must be: one of this service, whole, and readable with the keys of the settings."""

from collections.abc import Sequence
from functools import partial
from secrets import token_urlsafe

from pydantic import SecretStr
from sqlalchemy import inspect, select

from app.assembly import RESEAL_JOBS, make_services, opened
from app.commands.support import fail, say
from app.core.crypto import KeyRing
from app.core.database.batches import foreseen
from app.core.database.database import Database
from app.core.database.migrations import upgrade
from app.core.settings.model import Settings
from app.features.audit.models import AuditEvent, AuditHead
from app.features.audit.service import AuditTrail
from app.features.audit.trail.chain import ChainKeys


async def is_empty(settings: Settings) -> bool:
    """Whether nothing has ever happened in the database: it has no table, or nothing in its trail."""
    database = Database(settings.database_url)
    try:
        tables = await _tables(database)
        if AuditEvent.__tablename__ not in tables:
            return not tables
        async with database.read() as db:
            return await db.scalar(select(AuditEvent.sequence).limit(1)) is None
    finally:
        await database.close()


async def accept(settings: Settings, *, verify: bool) -> None:
    """Bring the schema of a restored database up to date and verify it; exits with a message if it cannot be used."""
    database = Database(settings.database_url)
    try:
        if AuditHead.__tablename__ not in await _tables(database):
            fail("The backup is not one of this service: it has no audit trail.")
    finally:
        await database.close()
    await upgrade(settings.database_url)
    if verify:
        await _verify(settings)


def require_key(settings: Settings, names: Sequence[bytes], state: str) -> None:
    """Exit with a message unless the settings have a key of these names, with which the shards of the trail end."""
    chain = ChainKeys(KeyRing(settings.secret_key, settings.secret_key_fallbacks))
    if any(names) and not any(map(chain.knows, names)):
        fail(
            "SECRET_KEY is not the key of this backup, and none of SECRET_KEY_FALLBACKS is: set the keys of its time."
            f" {state}"
        )


async def _verify(settings: Settings) -> None:
    async with opened(settings) as services:
        async with services[Database].read() as db:
            names = (await db.scalars(select(AuditHead.key_id))).all()
        require_key(settings, names, "It is not verified.")
        verification = services[AuditTrail].verification()
        await verification.begin()
        report = await verification.run()
        if report.flaw is not None:
            fail(f"The audit trail is not whole: {report.flaw}")
        say(f"The audit trail is whole: {report.rows} rows.")
    # With another current key, every sealed row is one to seal anew: it is opened for that, and rolled back.
    fallbacks = (settings.secret_key, *settings.secret_key_fallbacks)
    later = settings.model_copy(update={"secret_key": SecretStr(token_urlsafe(64)), "secret_key_fallbacks": fallbacks})
    services = make_services(later)
    try:
        for job in RESEAL_JOBS:
            if job.delays_rotation:
                count = await foreseen(services[Database], partial(job.service(services).reseal, limit=1))
                say(f"{job.name}: {'one was opened' if count else 'none is sealed'}")
    finally:
        await services.close()


async def _tables(database: Database) -> set[str]:
    async with database.read() as db:
        return set(await (await db.connection()).run_sync(lambda connection: inspect(connection).get_table_names()))
