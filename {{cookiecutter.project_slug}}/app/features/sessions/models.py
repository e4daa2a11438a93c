"""The tables of the sessions, and of the networks that people sign in from."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, LargeBinary, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base


class Session(Base):
    """One sign-in: alive until it is ended, idle since `last_seen_at` for too long, or past `expires_at`.

    `scope` and `methods` (`amr`) are separated by spaces. `client_id` is the OAuth client that has it, or None for the
    service's own sign-in, which alone has a `device`, as `device_of` says it.
    """

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    authenticated_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None] = mapped_column(String(32))
    scope: Mapped[str] = mapped_column(String(2000))
    methods: Mapped[str] = mapped_column(String(100))
    ip: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(300))
    client_id: Mapped[str | None] = mapped_column(String(64), index=True)
    device: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)


class HomeNetwork(Base):
    """A network in which an account is at home, as `subscriber` names it: `devices.py` says what that is for."""

    __tablename__ = "home_networks"

    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    network: Mapped[str] = mapped_column(String(45), primary_key=True)
    last_used_at: Mapped[datetime]
