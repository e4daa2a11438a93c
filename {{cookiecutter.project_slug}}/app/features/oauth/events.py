"""Security events of OAuth clients."""

from app.core.events import ACTOR, SecurityEvent
from app.features.sessions.events import EndReason

OF_CLIENT = "`user_id`, `target_id`, a client's"


class ClientEvent(SecurityEvent):
    """Security events of OAuth clients."""

    CLIENT_AUTHENTICATION_FAILED = (
        "client_authentication_failed",
        (
            "An OAuth client is unknown, its credentials or its redirect address are wrong, or it has no credentials "
            "where it needs some"
        ),
        "`target_id`, a client's, where there is one; `reason` of an authorization request",
    )
    CLIENT_CREATED = (
        "client_created",
        "Somebody registered an OAuth client",
        (
            f"{OF_CLIENT}; `scope`, `grants`, `roles`, `confidential`, `first_party`, "
            "`redirect_uris`, the first 300 characters of each by its number"
        ),
        ACTOR,
    )
    CLIENT_REMOVED = "client_removed", "Somebody removed an OAuth client; its sessions have ended", OF_CLIENT, ACTOR
    CLIENT_SECRET_ROTATED = "client_secret_rotated", "Somebody gave an OAuth client another secret", OF_CLIENT, ACTOR
    TOKEN_REFUSED = (
        "token_refused",
        "A client got no tokens: its code, verifier, refresh token or scope did not hold, or it may not use the grant",
        "`error`, `target_id`, a client's, where it is registered",
    )


class ClientEnd(EndReason):
    """Why a change of a client ends its sessions."""

    CLIENT_REMOVED = "client removed"
    CLIENT_SECRET_ROTATED = "client secret rotated"  # noqa: S105  # a reason, not a secret
