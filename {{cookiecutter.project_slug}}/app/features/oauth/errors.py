"""The errors of clients (RFC 6749 section 5.2)."""

from app.core.errors import BadRequest, Unauthenticated

CHALLENGE = 'Basic realm="OAuth clients", charset="UTF-8"'


class InvalidClient(Unauthenticated):
    """The client is unknown, or its credentials are wrong or missing."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, challenge=CHALLENGE)


class RefusedGrant(BadRequest):
    """The client gets no tokens: `oauth_error` is a code of RFC 6749 section 5.2, or `invalid_target` of RFC 8707."""

    def __init__(self, oauth_error: str, detail: str) -> None:
        super().__init__(detail)
        self.oauth_error = oauth_error
