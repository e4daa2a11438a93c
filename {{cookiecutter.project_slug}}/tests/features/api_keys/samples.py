"""What the routes of the API keys take."""

from collections.abc import Mapping
from typing import Any

from tests.features.api_keys.steps import created
from tests.support.api.oauth import register_machine
from tests.support.service import Service, Tokens

BODIES: Mapping[str, Mapping[str, Any]] = {
    "POST /api/v1/api-keys": {"name": "backup", "scopes": ["account:read"]},
    "POST /api/v1/api-keys/leaked": {"key": "{key}"},
    "POST /api/v1/api-keys/{key_id}/rotate": {},
    "POST /api/v1/users/{owner_id}/api-keys": {"name": "backup", "scopes": ["account:read"]},
    "POST /api/v1/users/{owner_id}/api-keys/{owner_key_id}/rotate": {},
}
LEFT_OUT = frozenset({"networks", "requests_per_minute"})


async def names(service: Service, tokens: Tokens) -> dict[str, str]:
    """Make a key, and one of a service account."""
    key, machine = await created(service, tokens), await register_machine(service)
    path, new = f"/api/v1/users/{machine.client.user_id}/api-keys", {"name": "backup", "scopes": ["account:read"]}
    theirs = (await service.client.post(path, json=new, headers=tokens.bearer)).json()
    owned = {"owner_id": theirs["user_id"], "owner_key_id": theirs["id"]}
    return {"key_id": key["id"], "key": key["key"], **owned}
