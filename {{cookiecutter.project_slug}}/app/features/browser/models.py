"""The table of the browser sessions: the part of a session that a cookie opens."""

from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base


class BrowserSession(Base):
    """The cookie of a session, and what this service says about it.

    `id_hash` is the SHA-256 of the cookie's value. `sealed` holds whose session it is, and when and how they signed in:
    a row that was written by somebody else opens nothing.
    """

    __tablename__ = "browser_sessions"

    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True)
    id_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
