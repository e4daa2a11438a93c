"""What a session looks like from outside."""

from uuid import UUID

from app.core.schemas import ResponseBody, Timestamp


class SessionRead(ResponseBody):
    """A sign-in; `current` is the one that asks, `client_id` the OAuth client that has it, if one does."""

    id: UUID
    current: bool
    created_at: Timestamp
    last_seen_at: Timestamp
    expires_at: Timestamp
    ip: str
    user_agent: str
    client_id: str | None
