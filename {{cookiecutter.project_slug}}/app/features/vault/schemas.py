"""The requests and responses of the vault. Values are masked in all responses but one.

`SecretStr` and `SecretBytes` hold every value: a `repr`, a log line or an error shows a mask. Only `get_secret_value()`
returns the value, so that a search for it finds every place that handles one in clear.
"""

from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, PlainSerializer, SecretBytes, SecretStr, WithJsonSchema, model_validator

from app.core.schemas import DisplayName, NotNull, RequestBody, ResponseBody, Timestamp
from app.http.request.body_limit import KIB

LONGEST_STRING = 10_000
LONGEST_BYTES = 16 * KIB
LARGEST_SECRET = 144 * KIB
"""The body with the longest values, each character of the text as the longest escape that JSON and forms have."""

_BASE64 = {"type": "string", "contentEncoding": "base64"}


def _from_base64(text: object) -> bytes:
    """Decode what `b64encode` would have written, and nothing that merely looks like it (RFC 4648 section 3.5)."""
    with suppress(ValueError):
        decoded = b64decode(text, validate=True) if isinstance(text, str) else b""
        if b64encode(decoded).decode() == text:
            return decoded
    raise ValueError("must be base64")


GivenString = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_STRING)]
"""A text of 1 to 10 000 characters."""

GivenBytes = Annotated[
    SecretBytes,
    Field(min_length=1, max_length=LONGEST_BYTES),
    BeforeValidator(_from_base64),
    WithJsonSchema({**_BASE64, "writeOnly": True, "maxLength": (LONGEST_BYTES + 2) // 3 * 4}),
]
"""1 to 16 384 bytes, written as base64."""

Masked = Literal["**********"]
"""The mask of a value that is set."""

RevealedString = Annotated[
    SecretStr,
    PlainSerializer(lambda value: value.get_secret_value(), return_type=str),
    WithJsonSchema({"type": "string"}, mode="serialization"),
]
RevealedBytes = Annotated[
    SecretBytes,
    PlainSerializer(lambda value: b64encode(value.get_secret_value()).decode(), return_type=str),
    WithJsonSchema(_BASE64, mode="serialization"),
]


class SecretUpdate(RequestBody):
    """A change of a secret. A field that is left out stays as it is; null clears a value."""

    name: Annotated[DisplayName | None, NotNull] = None
    secret_string: GivenString | None = None
    secret_bytes: GivenBytes | None = None


class SecretCreate(SecretUpdate):
    """A secret to keep: a name and at least one value."""

    name: DisplayName

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.secret_string is None and self.secret_bytes is None:
            raise ValueError("must have a secret_string or secret_bytes")
        return self


class SecretRead(ResponseBody):
    """A secret with a mask for each value that is set; `name` is null if the stored one can no longer be read."""

    id: UUID
    name: str | None
    secret_string: Masked | None
    secret_bytes: Masked | None
    created_at: Timestamp
    updated_at: Timestamp


class RevealedSecret(ResponseBody):
    """The values, which are in clear in the JSON of the response alone."""

    secret_string: RevealedString | None
    secret_bytes: RevealedBytes | None
