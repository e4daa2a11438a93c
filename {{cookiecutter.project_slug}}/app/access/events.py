"""Security events of authentication and policies."""

from app.core.events.event import ACTOR, SecurityEvent


class AccessEvent(SecurityEvent):
    """Security events of authentication and policies."""

    ACCESS_DENIED = (
        "access_denied",
        "A policy refused a signed-in user or asked for a recent sign-in; or they asked for more than their own rights",
        "`user_id`, `policy`; or `reason`",
        ACTOR,
    )
    UNAUTHENTICATED = (
        "unauthenticated",
        "A request came without valid credentials, or its session ended while it waited to write",
        "`reason`; `user_id`",
        ACTOR,
    )
