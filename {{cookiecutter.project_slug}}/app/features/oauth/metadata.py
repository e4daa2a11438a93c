"""What the authorization server says of itself (RFC 8414): what is wired, and nothing else."""

from collections.abc import Iterable

from app.features.oauth.clients.registered import GrantType
from app.features.oauth.schemas import ServerMetadata

_WITH_SECRET = ["client_secret_basic", "client_secret_post"]
_PUBLIC_TOO = [*_WITH_SECRET, "none"]
# RFC 8414 section 2: an access token type stands beside the methods of clients.
_OR_ITS_USER = [*_WITH_SECRET, "Bearer"]


def server_metadata(issuer: str, grants: Iterable[str], scopes: Iterable[str]) -> ServerMetadata:
    """Return the metadata of the server at a URL that has these grants and scopes."""
    grants = frozenset(grants)
    with_code = GrantType.AUTHORIZATION_CODE in grants
    return ServerMetadata(
        issuer=issuer,
        authorization_endpoint=f"{issuer}/oauth/authorize" if with_code else None,
        token_endpoint=f"{issuer}/oauth/token",
        revocation_endpoint=f"{issuer}/oauth/revoke",
        introspection_endpoint=f"{issuer}/oauth/introspect",
        scopes_supported=sorted(scopes),
        response_types_supported=["code"] if with_code else [],
        response_modes_supported=["query"] if with_code else None,
        grant_types_supported=sorted(grants),
        code_challenge_methods_supported=["S256"] if with_code else None,
        authorization_response_iss_parameter_supported=True if with_code else None,
        token_endpoint_auth_methods_supported=_PUBLIC_TOO,
        revocation_endpoint_auth_methods_supported=_PUBLIC_TOO,
        introspection_endpoint_auth_methods_supported=_OR_ITS_USER,
    )
