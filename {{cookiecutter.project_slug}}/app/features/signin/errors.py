"""The errors that a grant ends with (RFC 6749 section 5.2)."""

from app.core.errors import Problem


class InvalidGrant(Problem):
    """The credentials, the code or the refresh token are wrong, used, revoked or expired."""

    status, title, oauth_error = 400, "Bad Request", "invalid_grant"


class InvalidScope(Problem):
    """The scope asks for more than there is to give."""

    status, title, oauth_error = 400, "Bad Request", "invalid_scope"
