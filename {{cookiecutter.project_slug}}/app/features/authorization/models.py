"""The tables of the authorization codes and of the consents."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.database.database import Base


class AuthorizationCode(Base):
    """A code, as its SHA-256 alone, with all that it is bound to (RFC 6749 section 4.1.2, RFC 7636); a used one stays.

    `session_id` is the session of the browser that approved, `started_session_id` what the code was exchanged for.
    """

    __tablename__ = "authorization_codes"

    code_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    client_id: Mapped[UUID] = mapped_column(ForeignKey("oauth_clients.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    started_session_id: Mapped[UUID | None]
    redirect_uri: Mapped[str] = mapped_column(Text)
    code_challenge: Mapped[str] = mapped_column(String(43))
    scope: Mapped[str] = mapped_column(String(2000))
    methods: Mapped[str] = mapped_column(String(100))
    authenticated_at: Mapped[datetime]


class Consent(Base):
    """What a user has allowed a client, separated by spaces."""

    __tablename__ = "consents"
    __table_args__ = (UniqueConstraint("user_id", "client_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    client_id: Mapped[UUID] = mapped_column(ForeignKey("oauth_clients.id", ondelete="CASCADE"), index=True)
    client: Mapped[Any] = relationship("OAuthClient", lazy="joined", innerjoin=True)
    scope: Mapped[str] = mapped_column(String(2000))
