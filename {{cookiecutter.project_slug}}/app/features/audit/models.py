"""The tables of the audit trail. No foreign key: deleting a user leaves the rows about them as they are."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import SERVING_RIGHTS, Base

SHARDS = 8


class AuditEvent(Base):
    """A security event. A trigger refuses to change or delete it.

    `digest` is the hash of this row and of all before it in its shard, `mac` its MAC under the key that `key_id` names.
    `details` is JSON, kept as the text that was hashed. `sequence` orders the rows of all shards, with gaps.

    A row without shard and place is of shard 1, and its place is its `sequence`: all rows on SQLite, and those from
    before there were shards. `seen` and `seen_digest` name the newest row of the other shards when it was written.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(
            "ix_audit_events_shard_place",
            "shard",
            "place",
            unique=True,
            postgresql_where=text("shard IS NOT NULL"),
            sqlite_where=text("shard IS NOT NULL"),
        ),
        {"info": {SERVING_RIGHTS: "SELECT, INSERT"}},
    )

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    created_at: Mapped[datetime] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(64), index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[UUID | None] = mapped_column(index=True)
    session_id: Mapped[UUID | None]
    target_type: Mapped[str | None] = mapped_column(String(32))
    target_id: Mapped[str | None] = mapped_column(String(64), index=True)
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(300))
    request_id: Mapped[str | None] = mapped_column(String(64))
    details: Mapped[str] = mapped_column(Text)
    shard: Mapped[int | None] = mapped_column(SmallInteger)
    place: Mapped[int | None] = mapped_column(BigInteger)
    seen: Mapped[int | None] = mapped_column(BigInteger)
    seen_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    key_id: Mapped[bytes] = mapped_column(LargeBinary(4))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))


class AuditHead(Base):
    """Where a shard ends: a row for each, made by migrations. A writer locks one that is free, and moves it forward."""

    __tablename__ = "audit_heads"
    __table_args__ = ({"info": {SERVING_RIGHTS: "SELECT, INSERT, UPDATE"}},)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    key_id: Mapped[bytes] = mapped_column(LargeBinary(4))
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))
