"""A feature of the tests' own, with a table of sealed rows: it shows what a feature needs for its upkeep.

Run as a program, it is `manage` with this feature in the list. Its metadata is apart from the service's, whose schema
has no such table.
"""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import LargeBinary, MetaData, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.commands.secret_key import rotate as rotate_secret_key
from app.core.crypto import KeyRing, Sealer
from app.core.database.database import Base, Database
from app.core.pagination import CURSOR_KEY
from app.feature import ResealJob
from app.manage import main


class NoteBase(Base):
    """The base of tables that are not the service's."""

    __abstract__ = True
    metadata = MetaData()


class Note(NoteBase):
    """A text that is kept sealed."""

    __tablename__ = "test_notes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class Notes:
    """Keeps texts, sealed for their row."""

    def __init__(self, keys: KeyRing) -> None:
        self._sealer = Sealer(keys, CURSOR_KEY)

    async def add(self, db: AsyncSession, text: str) -> None:
        """Keep a text."""
        note_id = uuid4()
        db.add(Note(id=note_id, sealed=self._sealer.seal(text.encode(), identity=note_id.bytes)))
        await db.flush()

    async def texts(self, db: AsyncSession) -> list[str]:
        """Every text; raises `SealBrokenError` where a key is missing."""
        notes = await db.scalars(select(Note))
        return sorted(self._sealer.open(note.sealed, identity=note.id.bytes).decode() for note in notes)

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` rows with the current key that another one sealed; how many."""
        notes = await db.scalars(select(Note).order_by(Note.id))
        stale = [note for note in notes if not note.sealed.startswith(self._sealer.key_id)][:limit]
        for note in stale:
            plain = self._sealer.open(note.sealed, identity=note.id.bytes)
            note.sealed = self._sealer.seal(plain, identity=note.id.bytes)
        await db.flush()
        return len(stale)


async def create_notes(database: Database, keys: KeyRing, count: int) -> None:
    """Make the table, with that many notes in it."""
    async with database.transaction() as db:
        connection = await db.connection()
        await connection.run_sync(NoteBase.metadata.create_all)
        for number in range(count):
            await Notes(keys).add(db, f"note {number:05}")


async def read_notes(database: Database, *keys: Any) -> list[str]:
    """Every text, read with these keys alone."""
    async with database.read() as db:
        return await Notes(KeyRing(keys[0], keys[1:])).texts(db)


async def count_sealed(database: Database, key: Any) -> int:
    """How many rows the key has sealed."""
    sealer = Sealer(KeyRing(key), CURSOR_KEY)
    async with database.read() as db:
        return sum(sealed.startswith(sealer.key_id) for sealed in await db.scalars(select(Note.sealed)))


if __name__ == "__main__":
    vars(rotate_secret_key)["RESEAL_JOBS"] = (ResealJob("notes", lambda services: Notes(services[KeyRing])),)
    main()
