"""What a sign-in or a grant (RFC 6749 section 5.2) fails with."""

from app.core.errors import BadRequest


class WrongCredentialsError(Exception):
    """Address and password do not open an account. The reason is deliberately not reported (ASVS 6.3.8)."""


class RefusedGrant(BadRequest):
    """The client gets no tokens: `oauth_error` is a code of RFC 6749 section 5.2, or `invalid_target` of RFC 8707."""

    def __init__(self, oauth_error: str, detail: str) -> None:
        super().__init__(detail)
        self.oauth_error = oauth_error
