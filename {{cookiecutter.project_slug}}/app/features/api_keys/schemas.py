"""The requests and answers about API keys. A key is in clear in the JSON of the answer that makes it alone."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr

from app.core.schemas import DisplayName, RequestBody, ResponseBody, Timestamp
from app.core.settings.rules import network
from app.features.api_keys.models import PREFIX, ApiKey

_Scope = Annotated[str, Field(min_length=1, max_length=100)]
_Network = Annotated[str, Field(min_length=2, max_length=49), AfterValidator(lambda text: str(network(text)))]


class ApiKeyCreate(RequestBody):
    """A key to make: what it may do, for how long, from where, and how often; without `networks` from everywhere.

    Without `requests_per_minute`, as often as `RATE_LIMIT_DEFAULT` allows an address.
    """

    name: DisplayName
    scopes: Annotated[list[_Scope], Field(min_length=1, max_length=50)]
    expires_in_days: Annotated[int, Field(ge=1, le=365)] = 90
    networks: Annotated[list[_Network], Field(default=[], max_length=20)]
    requests_per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None


class ApiKeyRotation(RequestBody):
    """How long the old key works beside the new one."""

    overlap_hours: Annotated[int, Field(ge=0, le=168)] = 24


class LeakedKey(RequestBody):
    """A key that was found where it should not be."""

    key: Annotated[SecretStr, Field(min_length=1, max_length=3000)]


class ApiKeyRead(ResponseBody):
    """A key without itself: `hint` has its prefix and its last four characters."""

    id: UUID
    user_id: UUID
    name: str
    hint: str
    scopes: list[str]
    networks: list[str]
    requests_per_minute: int | None
    created_at: Timestamp
    expires_at: Timestamp
    replaced_at: Timestamp | None
    last_used_at: Timestamp | None
    last_used_ip: str | None

    @classmethod
    def of(cls, row: ApiKey, key: str | None = None) -> Self:
        """Show a row; a new one with its key."""
        shown = {"hint": f"{PREFIX}…{row.last_four}", "scopes": row.scope.split(), "networks": row.networks.split()}
        return cls.model_validate(vars(row) | shown | {"requests_per_minute": row.per_minute, "key": key})


class ApiKeyCreated(ApiKeyRead):
    """A new key, which no other answer has."""

    key: str
