"""What the routes of the vault take."""

from collections.abc import Mapping
from typing import Any

from tests.features.vault.steps import kept
from tests.support.service import Service, Tokens

BODIES: Mapping[str, Mapping[str, Any]] = {
    "POST /api/v1/secrets": {"name": "Key", "secret_string": "text"},
    "PATCH /api/v1/secrets/{secret_id}": {"name": "Other"},
}
LEFT_OUT = frozenset({"secret_bytes"})


async def names(service: Service, tokens: Tokens) -> dict[str, str]:
    """Keep a secret."""
    return {"secret_id": (await kept(service, tokens)).rpartition("/")[2]}
