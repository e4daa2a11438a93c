"""The table of the vault."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, column_property, mapped_column

from app.core.database.database import Base


class Secret(Base):
    """What one user keeps: a name and values, each sealed to row, owner and column; values load only on request."""

    __tablename__ = "secrets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    name: Mapped[bytes] = mapped_column(LargeBinary)
    secret_string: Mapped[bytes | None] = mapped_column(LargeBinary, deferred_group="values", deferred_raiseload=True)
    secret_bytes: Mapped[bytes | None] = mapped_column(LargeBinary, deferred_group="values", deferred_raiseload=True)
    has_string: Mapped[bool] = column_property(secret_string.is_not(None))
    has_bytes: Mapped[bool] = column_property(secret_bytes.is_not(None))
