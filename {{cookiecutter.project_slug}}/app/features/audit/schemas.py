"""Bodies of the audit trail's answers, and the times that its filters take."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import AfterValidator, BeforeValidator, Field

from app.core.schemas import ResponseBody, Timestamp

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _with_zone(text: object) -> object:
    """Refuse what is not RFC 3339: a number, or a time without a zone."""
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
    """A security event. `actor` is the user who did it, if that is known."""

    sequence: int
    created_at: Timestamp
    action: str
    outcome: str
    actor: UUID | None = Field(validation_alias="actor_id")
    session_id: UUID | None
    target_type: str | None
    target_id: str | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    details: Annotated[dict[str, Any], BeforeValidator(orjson.loads)]


_Hex = Annotated[str, BeforeValidator(bytes.hex)]


class ExportedEvent(AuditEventRead):
    """A security event with what proves it.

    Place and digest are an anchor for `manage audit verify`, behind a comma for each shard before its own.
    """

    shard: int | None
    place: int | None
    seen: int | None
    seen_digest: _Hex | None
    key_id: _Hex
    digest: _Hex
    mac: _Hex
