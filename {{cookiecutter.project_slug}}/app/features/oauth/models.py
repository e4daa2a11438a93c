"""The table of the OAuth clients."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Base


class OAuthClient(Base):
    """An application that gets tokens (RFC 6749 section 2), and its service account; lists are separated by spaces."""

    __tablename__ = "oauth_clients"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime]
    client_id: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    # The SHA-256; a public client has none.
    secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    secret_issued_at: Mapped[datetime | None]
    first_party: Mapped[bool]
    grants: Mapped[str] = mapped_column(String(200))
    redirect_uris: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(String(2000))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
