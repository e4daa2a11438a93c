"""Resource indicators (RFC 8707): which service a client wants a token for."""

from collections.abc import Collection


def is_own_resource(resources: Collection[str], issuer: str) -> bool:
    """Whether the tokens of this service are for every resource that is asked for: their one audience is the issuer."""
    return all(resource.removesuffix("/") == issuer for resource in resources)
