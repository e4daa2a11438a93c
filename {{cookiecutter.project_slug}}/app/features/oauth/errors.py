"""The errors of clients (RFC 6749 section 5.2)."""

from app.core.errors import Problem, Unauthenticated

_CHALLENGE = 'Basic realm="OAuth clients", charset="UTF-8"'


class InvalidClient(Unauthenticated):
    """The client is unknown, or its credentials are wrong or missing."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, challenge=_CHALLENGE)


class UnauthorizedClient(Problem):
    """The client may not use this grant."""

    status, title, oauth_error = 400, "Bad Request", "unauthorized_client"


class UnsupportedGrantType(Problem):
    """The grant is unknown, or switched off."""

    status, title, oauth_error = 400, "Bad Request", "unsupported_grant_type"


class InvalidTarget(Problem):
    """The resource is not this service (RFC 8707 section 2)."""

    status, title, oauth_error = 400, "Bad Request", "invalid_target"


def no_credentials() -> Unauthenticated:
    """The answer to whoever shows neither an access token nor the credentials of a client."""
    return Unauthenticated("Authenticate as a client, or send an access token.", challenge=f"Bearer, {_CHALLENGE}")
