"""The error of clients (RFC 6749 section 5.2)."""

from app.core.errors import Unauthenticated

CHALLENGE = 'Basic realm="OAuth clients", charset="UTF-8"'


class InvalidClient(Unauthenticated):
    """The client is unknown, or its credentials are wrong or missing."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, challenge=CHALLENGE)
