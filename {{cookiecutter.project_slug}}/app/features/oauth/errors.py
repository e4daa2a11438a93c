"""The errors of clients (RFC 6749 section 5.2)."""

from app.core.errors import BadRequest, Unauthenticated

CHALLENGE = 'Basic realm="OAuth clients", charset="UTF-8"'


class InvalidClient(Unauthenticated):
    """The client is unknown, or its credentials are wrong or missing."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, challenge=CHALLENGE)


class UnauthorizedClient(BadRequest):
    """The client may not use this grant."""

    oauth_error = "unauthorized_client"


class UnsupportedGrantType(BadRequest):
    """The grant is unknown, or switched off."""

    oauth_error = "unsupported_grant_type"


class InvalidTarget(BadRequest):
    """The resource is not this service (RFC 8707 section 2)."""

    oauth_error = "invalid_target"
