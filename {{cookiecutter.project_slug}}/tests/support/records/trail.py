"""The audit trail as a test sees it: its rows, what goes behind its back, and whether it is whole."""

from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, text, update

from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.core.settings.model import Settings
from app.features.audit.models import AuditEvent, AuditHead
from app.features.audit.service import Anchor, AuditTrail, Report, Verification
from app.features.audit.trail.chain import ChainKeys, Head, digest_of
from tests.support.service import Service, Tokens

Row = dict[str, Any]

_TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger'"


async def listed(service: Service, auditor: Tokens, **filters: str) -> list[Row]:
    """The rows that the API gives, newest first."""
    answer = await service.client.get("/api/v1/audit", params=filters, headers=auditor.bearer)
    assert answer.status_code == 200, answer.text
    items: list[Row] = answer.json()["items"]
    return items


async def stored(service: Service, *which: ColumnElement[bool]) -> list[Row]:
    """The rows as they are stored, oldest first."""
    statement = select(*AuditEvent.__table__.columns).where(*which).order_by(AuditEvent.sequence)
    async with service[Database].read() as db:
        return [{**row} for row in (await db.execute(statement)).mappings()]


async def actions(service: Service) -> list[str]:
    """What is stored, by name, oldest first."""
    return [row["action"] for row in await stored(service)]


async def execute(service: Service, statement: Any) -> None:
    """Change the database as somebody can who may write to it."""
    async with service[Database].transaction() as db:
        await db.execute(text(statement) if isinstance(statement, str) else statement)


async def change(service: Service, sequence: int, /, **values: object) -> None:
    """Change a row."""
    changing = update(AuditEvent).where(AuditEvent.sequence == sequence).values(**values)
    await execute(service, changing.execution_options(synchronize_session=False))


def moved(row: Row, place: int) -> Row:
    """A row as if it were elsewhere in its shard."""
    return {**row, "sequence": place, "place": None if row["place"] is None else place}


async def remove(service: Service, *sequences: int) -> None:
    """Delete rows."""
    await execute(service, delete(AuditEvent).where(AuditEvent.sequence.in_(sequences)))


async def forge(service: Service, keys: KeyRing, sequence: int, row: Row, *, behind: bytes) -> Row:
    """Insert a row in the place of another, with digest and MAC as the holder of the keys would make them."""
    chain = ChainKeys(keys)
    row = {**row, "sequence": sequence, "key_id": chain.current_id}
    row["digest"] = digest_of(behind, row)
    row["mac"] = chain.row_mac(row["digest"])
    await remove(service, sequence)
    await execute(service, insert(AuditEvent).values(**row))
    return row


async def head_of(service: Service, shard: int = 1) -> Head:
    """The head of a shard as it is stored."""
    columns = (AuditHead.place, AuditHead.digest, AuditHead.key_id, AuditHead.mac)
    async with service[Database].read() as db:
        return Head(*(await db.execute(select(*columns).where(AuditHead.id == shard))).one())


async def set_head(service: Service, head: Head, shard: int = 1) -> None:
    """Put another head into its place."""
    changing = update(AuditHead).where(AuditHead.id == shard).values(**head._asdict())
    await execute(service, changing.execution_options(synchronize_session=False))


async def disarm(service: Service) -> None:
    """Remove the triggers, as somebody can who may change the schema."""
    await disarm_database(service[Database])


async def disarm_database(database: Database) -> None:
    """Remove the triggers of a database, whoever serves it."""
    async with database.transaction() as db:
        if (await db.connection()).dialect.name == "sqlite":
            for (name,) in (await db.execute(text(_TRIGGERS))).all():
                await db.execute(text(f"DROP TRIGGER {name}"))
        else:
            for table in ("audit_events", "audit_heads"):
                await db.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))


def trail_of(service: Service) -> AuditTrail:
    """The trail of the application."""
    trail: AuditTrail = service[AuditTrail]
    return trail


def keys_of(service: Service) -> KeyRing:
    """The keys of the application."""
    settings = service[Settings]
    return KeyRing(settings.secret_key, settings.secret_key_fallbacks)


async def verified(service: Service, anchor: Anchor | None = None, keys: KeyRing | None = None) -> Report:
    """What a verification says: with the keys of the application, unless others are given."""
    verification = Verification(service[Database], keys or keys_of(service), anchor)
    await verification.begin()
    return await verification.run()
