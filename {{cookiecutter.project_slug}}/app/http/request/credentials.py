"""The `Authorization` header (RFC 9110 section 11.4): a scheme, one or more spaces, the credentials."""


def scheme_and_credentials(value: str) -> tuple[str, str]:
    """Return the scheme in lower case, and the credentials."""
    scheme, _, credentials = value.strip(" \t").partition(" ")
    return scheme.lower(), credentials.lstrip(" ")
