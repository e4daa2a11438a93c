"""What the routes of the API keys take."""

from collections.abc import Mapping
from typing import Any

from tests.features.api_keys.steps import created
from tests.support.service import Service, Tokens

BODIES: Mapping[str, Mapping[str, Any]] = {
    "POST /api/v1/api-keys": {"name": "backup", "scopes": ["account:read"]},
    "POST /api/v1/api-keys/leaked": {"key": "{key}"},
    "POST /api/v1/api-keys/{key_id}/rotate": {},
}
LEFT_OUT = frozenset({"networks"})


async def names(service: Service, tokens: Tokens) -> dict[str, str]:
    """Make a key."""
    key = await created(service, tokens)
    return {"key_id": key["id"], "key": key["key"]}
