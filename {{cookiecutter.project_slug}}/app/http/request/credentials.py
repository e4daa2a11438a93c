"""The `Authorization` header as RFC 9110 section 11.4 writes it: a scheme, one or more spaces, the credentials."""


def scheme_and_credentials(value: str) -> tuple[str, str]:
    """The scheme in lower case, for its case does not matter, and what comes after it."""
    scheme, _, credentials = value.strip(" \t").partition(" ")
    return scheme.lower(), credentials.lstrip(" ")
