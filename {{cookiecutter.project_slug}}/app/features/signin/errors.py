"""What a sign-in or a grant (RFC 6749 section 5.2) fails with."""

from app.core.errors import Problem


class WrongCredentialsError(Exception):
    """Address and password do not open an account. The reason is deliberately not reported (ASVS 6.3.8)."""


class InvalidGrant(Problem):
    """The credentials, the code or the refresh token are wrong, used, revoked or expired."""

    status, title, oauth_error = 400, "Bad Request", "invalid_grant"


class InvalidScope(Problem):
    """The scope asks for more than there is to give."""

    status, title, oauth_error = 400, "Bad Request", "invalid_scope"
