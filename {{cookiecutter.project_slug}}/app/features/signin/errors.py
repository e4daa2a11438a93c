"""The errors of the token endpoint (RFC 6749 section 5.2)."""

from app.core.errors import Problem


class InvalidGrant(Problem):
    """The credentials or the refresh token are wrong, used, revoked or expired."""

    status, title, oauth_error = 400, "Bad Request", "invalid_grant"


class InvalidScope(Problem):
    """The scope asks for more than was granted."""

    status, title, oauth_error = 400, "Bad Request", "invalid_scope"


class UnsupportedGrantType(Problem):
    """The grant is unknown, or switched off."""

    status, title, oauth_error = 400, "Bad Request", "unsupported_grant_type"
