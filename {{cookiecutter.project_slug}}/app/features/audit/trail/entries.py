"""The columns of an event's row: who, what, on what, from where, with which outcome; bounded, and without secrets."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from app.core.events import ON_SESSION, SUBJECT, EventRecord, SecurityEvent
from app.core.logging.redaction import redact_fields, redact_text

Entry = dict[str, Any]
"""The columns of a row, without those of the chain."""

_LONGEST_DETAILS = 4096
_LONGEST_IP = 45
_LONGEST_USER_AGENT = 270  # and the mark of what was cut
_LONGEST_TARGET_TYPE = 20
_LONGEST_TARGET = 48


def entry_of(event_record: EventRecord) -> Entry:
    """Return the columns for an event."""
    fields, origin = dict(event_record.fields), event_record.origin
    user_id, session_id = _id(fields.get("user_id")), _id(fields.get("session_id"))
    # If something happened to a user, the actor is the principal of the request, or not known: a mailed token shows
    # that somebody reads the mailbox, and not who.
    actor_id = origin.actor_id or (None if event_record.action.user_is is SUBJECT else user_id)
    asking = origin.session_id or session_id
    target_type, target_id = _target(event_record.action, fields)
    fields.pop("target_type", None)
    fields.pop("target_id", None)
    for name, value in (("user_id", user_id), ("session_id", session_id)):
        # `details` does not repeat a column.
        if value is None or value in {actor_id, asking} or str(value) == target_id:
            fields.pop(name, None)
    return {
        "created_at": event_record.created_at,
        "action": event_record.action,
        "outcome": event_record.outcome,
        "actor_id": actor_id,
        "session_id": asking,
        "target_type": target_type,
        "target_id": target_id,
        "ip": origin.ip and redact_text(origin.ip)[:_LONGEST_IP],
        "user_agent": origin.user_agent and redact_text(origin.user_agent, _LONGEST_USER_AGENT),
        "request_id": origin.request_id,
        "details": _details(fields),
    }


def _target(event: SecurityEvent, fields: Mapping[str, object]) -> tuple[str | None, str | None]:
    if fields.get("target_id") is not None:
        kind = redact_text(str(fields.get("target_type") or "user"))[:_LONGEST_TARGET_TYPE]
        return kind, redact_text(str(fields["target_id"]))[:_LONGEST_TARGET]
    for kind, is_target in (("session", event.session_is is ON_SESSION), ("user", event.user_is is SUBJECT)):
        target = _id(fields.get(f"{kind}_id"))
        if is_target and target is not None:
            return kind, str(target)
    return None, None


def _id(value: object) -> UUID | None:
    return value if isinstance(value, UUID) else None


def _details(fields: Mapping[str, object]) -> str:
    text = orjson.dumps(redact_fields(fields), option=orjson.OPT_SORT_KEYS).decode()
    return text if len(text) <= _LONGEST_DETAILS else orjson.dumps({"cut": f"{len(text)} characters"}).decode()
