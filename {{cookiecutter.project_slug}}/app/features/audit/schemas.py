"""What an entry of the audit trail looks like from outside, and the filters of the list."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

import orjson
from pydantic import AfterValidator, BeforeValidator

from app.core.schemas import ResponseBody, Timestamp
from app.features.audit.models import AuditEvent

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _with_zone(text: object) -> object:
    """Take RFC 3339 alone: no number, and no time whose zone would have to be guessed."""
    if isinstance(text, str) and not _RFC_3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z")
    return text


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


Moment = Annotated[datetime, BeforeValidator(_with_zone), AfterValidator(_in_utc)]
"""A time with its zone, as RFC 3339 writes it."""


class AuditEventRead(ResponseBody):
    """A security event. `actor` is the user who did it, where that is known."""

    sequence: int
    created_at: Timestamp
    action: str
    outcome: str
    actor: UUID | None
    session_id: UUID | None
    target_type: str | None
    target_id: str | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    details: dict[str, Any]

    @classmethod
    def of(cls, row: AuditEvent) -> Self:
        """The answer for a row."""
        return cls(
            sequence=row.sequence,
            created_at=row.created_at,
            action=row.action,
            outcome=row.outcome,
            actor=row.actor_id,
            session_id=row.session_id,
            target_type=row.target_type,
            target_id=row.target_id,
            ip=row.ip,
            user_agent=row.user_agent,
            request_id=row.request_id,
            details=orjson.loads(row.details),
        )


class ExportedEvent(AuditEventRead):
    """A security event with what proves it: number and digest are an anchor for `manage audit verify`."""

    key_id: str
    digest: str
    mac: str

    @classmethod
    def of(cls, row: AuditEvent) -> Self:
        """The exported form of a row."""
        answer = AuditEventRead.of(row).model_dump()
        return cls(**answer, key_id=row.key_id.hex(), digest=row.digest.hex(), mac=row.mac.hex())
