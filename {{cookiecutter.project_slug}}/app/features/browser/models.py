"""The table of the browser sessions: the part of a session that a cookie opens."""

from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base


class BrowserSession(Base):
    """The cookie of a session, as its SHA-256, and whose session it is, sealed: a row that others wrote opens none."""

    __tablename__ = "browser_sessions"

    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True)
    id_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
